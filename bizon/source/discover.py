"""From the name of a source, or its file, to its class. Connectors are imported only here."""

import difflib
import importlib
import inspect
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from enum import Enum
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

from bizon.common.errors.errors import ConfigError, MissingDependencyError
from bizon.discovery.files import Kind, classes_in_file, concrete_classes, one_line
from bizon.source.config import SourceConfig, SourceSyncModes
from bizon.source.source import ANY_STREAM, AbstractSource

if TYPE_CHECKING:
    from bizon.source.discover_ast import SourceInfo

SOURCES_ROOT = Path(__file__).resolve().parents[1] / "connectors" / "sources"
SOURCES_PACKAGE = "bizon.connectors.sources"
KIND = Kind("source", "bizon.source.source.AbstractSource")


def list_sources() -> "list[SourceInfo]":
    """Every built-in source class, by name. None is imported. A folder that cannot be used has ``error`` set."""
    from bizon.source.discover_ast import find_sources

    return find_sources(SOURCES_ROOT, SOURCES_PACKAGE)


def resolve_source_class(config: SourceConfig) -> type[AbstractSource]:
    """The class that a ``source`` block names: the class that a program passed, else the one in ``source_file_path``,
    else the source ``name``, built in or of a plug-in. Called wherever a source is built, in each process.

    Raises ConfigError or MissingDependencyError.
    """
    given = config.given_source
    if given is not None:
        return cast(type[AbstractSource], given if isinstance(given, type) else type(given))
    if config.source_file_path:
        return load_custom_source(config.source_file_path, config.stream)
    return load_source(config.name, config.stream)


def named_classes(name: str, path: str | Path | None) -> list[type[AbstractSource]]:
    """The classes that a ``source`` block without a stream may name: all of a user's file, or the one of a source.
    Raises ConfigError or MissingDependencyError."""
    return [load_source(name)] if path is None else classes_in_file(path, AbstractSource, KIND)


def load_source(name: str, stream: str | None = None) -> type[AbstractSource]:
    """The class of a built-in source, or of a plug-in; with ``stream``, the class that offers the stream. Imports
    ``source.py``, and looks into the other modules of the folder only when no class in ``source.py`` fits.

    Raises ConfigError for an unknown source or stream, MissingDependencyError when its extra is not installed.
    """
    built_in = sorted(path.parent.name for path in SOURCES_ROOT.glob("*/src"))
    if name in built_in:
        return _offering(_built_in_classes(name, stream), stream, name)
    from bizon.discovery.plugins import SOURCES, plugin_classes, plugins

    if classes := plugin_classes(SOURCES, name, AbstractSource, KIND):
        return _offering(classes, stream, name)
    names = sorted({*built_in, *(plugin.name for plugin in plugins(SOURCES))})
    raise ConfigError(f"there is no source '{name}'{_choices('sources', name, names)}")


def _built_in_classes(name: str, stream: str | None) -> Iterator[type[AbstractSource]]:
    """The classes of a built-in source: first what ``source.py`` defines, then classes known to offer the stream, then
    the others. A module is imported when its classes are asked for."""
    package = f"{SOURCES_PACKAGE}.{name}.src"
    with suppress(SyntaxError):  # the syntax trees report it with its line
        if (SOURCES_ROOT / name / "src" / "source.py").is_file():
            yield from concrete_classes(_import_source(name, f"{package}.source"), AbstractSource)
    from bizon.source.discover_ast import inspect_source

    infos = inspect_source(SOURCES_ROOT / name, SOURCES_PACKAGE)
    if infos[0].error is not None:
        raise ConfigError(f"source '{name}' cannot be used: {infos[0].error}")
    for info in sorted(infos, key=lambda info: not _offers(info.streams or (), stream)):
        if info.module != f"{package}.source":
            yield getattr(_import_source(name, info.module), info.class_name)


def _offering(classes: Iterable[type[AbstractSource]], stream: str | None, source: str) -> type[AbstractSource]:
    """The first class that offers the stream. Raises ConfigError, which names ``source``."""
    names: list[str] = []
    for source_class in classes:
        offered = [] if stream is None else streams_of(source_class)
        if _offers(offered, stream):
            return source_class
        names += offered
    raise _no_such_stream(source, stream or "", names)


def load_custom_source(path: str | Path, stream: str | None = None) -> type[AbstractSource]:
    """The source class in a user's file; with ``stream``, the class that offers the stream.

    The file imports modules of its folder by their plain names, and no other folder shares them: see
    ``bizon/discovery``. Raises ConfigError, which names the line, when the file is not a Python file with a usable
    source class.
    """
    return _offering(classes_in_file(path, AbstractSource, KIND), stream, Path(path).name)


def streams_of(source_class: type[AbstractSource]) -> list[str]:
    """Names of the streams of a class. A member of an enum stands for its value. Raises ConfigError."""
    try:
        streams: Any = source_class.streams()
        return [str(stream.value if isinstance(stream, Enum) else stream) for stream in streams]
    except (Exception, SystemExit) as error:
        raise ConfigError(
            f"streams() of {source_class.__name__} failed: {one_line(error)}; "
            "it must be a static method that returns a list of names"
        ) from error


def supports_incremental(source_class: type[AbstractSource]) -> bool:
    """Whether the class overrides ``get_records_after`` with more than a stub."""
    method: Any = source_class.get_records_after
    if method is AbstractSource.get_records_after:
        return False
    from bizon.source.discover_ast import is_stub_text

    try:
        text = textwrap.dedent(inspect.getsource(method))
    except (OSError, TypeError):  # made without a source file
        return True
    return not is_stub_text(text)


def validate_stream(source_class: type[AbstractSource], config: SourceConfig) -> None:
    """Check that the source offers the configured stream and sync mode. Called before anything runs.

    Raises ConfigError.
    """
    streams = streams_of(source_class)
    if not _offers(streams, config.stream):
        raise _no_such_stream(config.name, config.stream, streams)
    if config.sync_mode is SourceSyncModes.INCREMENTAL and not supports_incremental(source_class):
        raise ConfigError(
            f"source '{config.name}' does not support sync_mode incremental: {source_class.__name__} does not "
            "implement get_records_after; use sync_mode: full_refresh, or implement it",
            key=("source", "sync_mode"),
        )


def _offers(streams: Sequence[str], stream: str | None) -> bool:
    return stream is None or stream in streams or ANY_STREAM in streams


def _no_such_stream(source: str, stream: str, names: Sequence[str]) -> ConfigError:
    text = f"source '{source}' has no stream '{stream}'{_choices('streams', stream, names)}"
    return ConfigError(text, key=("source", "stream"))


def _choices(kind: str, wrong: str, names: Sequence[str]) -> str:
    near = difflib.get_close_matches(wrong, names, n=1)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    return f"{hint} (available {kind}: {', '.join(dict.fromkeys(names)) or 'none'})"


def _import_source(name: str, module: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if missing.partition(".")[0] == "bizon":
            raise ConfigError(f"source '{name}' cannot be imported: {error}") from error
        raise MissingDependencyError(name, f"source '{name}' (module {missing})") from error
    except SyntaxError:
        raise
    except (Exception, SystemExit) as error:
        raise ConfigError(f"source '{name}' cannot be imported: {one_line(error)}") from error
