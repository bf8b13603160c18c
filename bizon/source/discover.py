"""From the name of a source, or its file, to its class. Connectors are imported only here."""

import difflib
import importlib
import inspect
import sys
import textwrap
import traceback
from collections.abc import Sequence
from enum import Enum
from itertools import filterfalse
from pathlib import Path
from threading import RLock
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

from bizon.common.errors.errors import ConfigError, MissingDependencyError
from bizon.source.config import SourceConfig, SourceSyncModes
from bizon.source.source import AbstractSource

if TYPE_CHECKING:
    from bizon.source.discover_ast import SourceInfo

SOURCES_ROOT = Path(__file__).resolve().parents[1] / "connectors" / "sources"
SOURCES_PACKAGE = "bizon.connectors.sources"

_custom_lock = RLock()  # a custom file may load another one


def list_sources() -> "list[SourceInfo]":
    """Every built-in source class, by name. None is imported. A folder that cannot be used has ``error`` set."""
    from bizon.source.discover_ast import find_sources

    return find_sources(SOURCES_ROOT, SOURCES_PACKAGE)


def resolve_source_class(config: SourceConfig) -> type[AbstractSource]:
    """The class that a ``source`` block names: the class that a program passed, else the one in ``source_file_path``,
    else the built-in source ``name``. Called wherever a source is built, in each process.

    Raises ConfigError or MissingDependencyError.
    """
    given = config.given_source
    if given is not None:
        return cast(type[AbstractSource], given if isinstance(given, type) else type(given))
    if config.source_file_path:
        return load_custom_source(config.source_file_path, config.stream)
    return load_source(config.name, config.stream)


def load_source(name: str, stream: str | None = None) -> type[AbstractSource]:
    """The class of a built-in source; with ``stream``, the class that offers the stream. Imports ``source.py``, and
    looks into the other modules of the folder only when no class in ``source.py`` fits.

    Raises ConfigError for an unknown source or stream, MissingDependencyError when its extra is not installed.
    """
    folders = {path.parent.name: path.parent for path in SOURCES_ROOT.glob("*/src")}
    if name not in folders:
        raise ConfigError(f"there is no source '{name}'{_choices('sources', name, sorted(folders))}")
    return _from_source_py(name, folders[name], stream) or _from_any_module(name, folders[name], stream)


def _from_source_py(name: str, folder: Path, stream: str | None) -> type[AbstractSource] | None:
    """The class in ``source.py``, its usual place. None when the class is elsewhere."""
    if not (folder / "src" / "source.py").is_file():
        return None
    try:
        module = _import_source(name, f"{SOURCES_PACKAGE}.{name}.src.source")
    except SyntaxError:  # ``_from_any_module`` reports it with its line
        return None
    offering = (each for each in _concrete(module) if stream is None or stream in streams_of(each))
    return next(offering, None)


def _from_any_module(name: str, folder: Path, stream: str | None) -> type[AbstractSource]:
    from bizon.source.discover_ast import inspect_source

    named = inspect_source(folder, SOURCES_PACKAGE)
    usable = [info for info in named if info.error is None]
    if not usable:
        raise ConfigError(f"source '{name}' cannot be used: {named[0].error}")
    names = [stream for info in usable for stream in info.streams or ()]
    for info in sorted(usable, key=lambda info: info.streams is None):
        if stream is not None and info.streams is not None and stream not in info.streams:
            continue
        source_class: type[AbstractSource] = getattr(_import_source(name, info.module), info.class_name)
        if stream is None or stream in (offered := streams_of(source_class)):
            return source_class
        names += offered
    raise _no_such_stream(name, stream or "", names)


def load_custom_source(path: str | Path, stream: str | None = None) -> type[AbstractSource]:
    """The source class in a user's file; with ``stream``, the class that offers the stream.

    The file is executed once per process, as a module of the private package of its folder, so its classes pickle. A
    process must call this before it unpickles them. The file imports modules of its folder by their plain names, and
    no other folder shares them: see ``discover_modules.py``. Raises ConfigError, which names the line, when the file
    is not a Python file with a usable source class.
    """
    try:
        file = Path(path).expanduser().absolute()
    except RuntimeError:
        raise ConfigError(f"custom source {path}: there is no such user, or it has no home folder") from None
    classes = _source_classes(_custom_module(file), file)
    if stream is None:
        return classes[0]
    names: list[str] = []
    for source_class in classes:
        offered = streams_of(source_class)
        if stream in offered:
            return source_class
        names += offered
    raise _no_such_stream(file.name, stream, names)


def streams_of(source_class: type[AbstractSource]) -> list[str]:
    """Names of the streams of a class. A member of an enum stands for its value. Raises ConfigError."""
    try:
        streams: Any = source_class.streams()
        return [str(stream.value if isinstance(stream, Enum) else stream) for stream in streams]
    except (Exception, SystemExit) as error:
        raise ConfigError(
            f"streams() of {source_class.__name__} failed: {_one_line(error)}; "
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
    if config.stream not in streams:
        raise _no_such_stream(config.name, config.stream, streams)
    if config.sync_mode is SourceSyncModes.INCREMENTAL and not supports_incremental(source_class):
        raise ConfigError(
            f"source '{config.name}' does not support sync_mode incremental: {source_class.__name__} does not "
            "implement get_records_after; use sync_mode: full_refresh, or implement it",
            key=("source", "sync_mode"),
        )


def _no_such_stream(source: str, stream: str, names: Sequence[str]) -> ConfigError:
    text = f"source '{source}' has no stream '{stream}'{_choices('streams', stream, names)}"
    return ConfigError(text, key=("source", "stream"))


def _choices(kind: str, wrong: str, names: Sequence[str]) -> str:
    near = difflib.get_close_matches(wrong, names, n=1)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    return f"{hint} (available {kind}: {', '.join(dict.fromkeys(names)) or 'none'})"


def _one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


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
        raise ConfigError(f"source '{name}' cannot be imported: {_one_line(error)}") from error


def _custom_module(file: Path) -> ModuleType:
    from bizon.source.discover_modules import loaded_modules, module_name, package_of, unload

    with _custom_lock:
        name = module_name(file)
        if name in sys.modules:
            return sys.modules[name]
        _check_file(file)
        before = loaded_modules(package_of(name))
        try:
            return importlib.import_module(name)
        except (Exception, SystemExit) as error:
            unload(loaded_modules(package_of(name)) - before)
            raise ConfigError(_execution_error(file, error).replace(f"{package_of(name)}.", "")) from error


def _check_file(file: Path) -> None:
    try:
        file.stat()
    except FileNotFoundError:
        raise ConfigError(f"custom source {file} does not exist") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"custom source {file} cannot be read: {reason}") from None
    if file.is_dir():
        raise ConfigError(f"custom source {file} is a folder; name the .py file in it")
    if file.suffix != ".py":
        raise ConfigError(f"custom source {file} must be a Python file with the extension .py")


def _execution_error(file: Path, error: BaseException) -> str:
    if isinstance(error, SyntaxError) and error.filename is not None:
        return f"{error.filename}:{error.lineno}: {type(error).__name__}: {error.msg}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
    place = f"{file}:{lines[-1]}" if lines else str(file)
    remedy = ""
    if isinstance(error, ModuleNotFoundError):
        remedy = "; install it, or put it in the folder of the file"
    return f"{place}: {_one_line(error)}{remedy}"


def _source_classes(module: ModuleType, file: Path) -> list[type[AbstractSource]]:
    """The concrete source classes of a file, the most derived first. Raises ConfigError when there are none."""
    if concrete := _concrete(module):
        return concrete
    own = _classes(module)
    if sources := [value for value in own if issubclass(value, AbstractSource)]:
        missing = "; ".join(f"{s.__name__} lacks {', '.join(sorted(s.__abstractmethods__))}" for s in sources)
        raise ConfigError(f"{file}: no source class in it is complete: {missing}")
    found = ", ".join(value.__name__ for value in own) or "no classes at all"
    raise ConfigError(f"{file}: no class in it extends bizon.source.source.AbstractSource; found: {found}")


def _concrete(module: ModuleType) -> list[type[AbstractSource]]:
    """The source classes that a module defines and that are not abstract, the most derived first."""
    sources = (value for value in _classes(module) if issubclass(value, AbstractSource))
    return sorted(filterfalse(inspect.isabstract, sources), key=lambda source: -len(source.__mro__))


def _classes(module: ModuleType) -> list[type]:
    defined = (value for value in vars(module).values() if inspect.isclass(value))
    return list(dict.fromkeys(value for value in defined if value.__module__ == module.__name__))
