"""``bizon source list``, ``stream list``, ``destination list``."""

import re
from collections.abc import Collection
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from bizon.cli.output import say
from bizon.discovery.plugins import DESTINATIONS, SOURCES, Plugin, plugins
from bizon.source.discover_ast import SourceInfo, find_sources

if TYPE_CHECKING:
    from bizon.source.models import OfferedStream

ANY_STREAM = "*"  # as in bizon/source/source.py, which listing need not import
_OF_A_CONFIG = "`bizon stream list CONFIG`"
_PACKAGE = "bizon.connectors"
_FOLDER = Path(__file__).resolve().parents[2] / "connectors"


def print_sources() -> None:
    """Each source with its streams. They come from syntax trees, and plug-ins from metadata: no source is imported."""
    say("Available sources:")
    by_name: dict[str, list[SourceInfo]] = {}
    for info in find_sources(_FOLDER / "sources", f"{_PACKAGE}.sources"):
        by_name.setdefault(info.name, []).append(info)
    for name, infos in by_name.items():
        say(f"{name} - {_streams(name, infos)}")
    for plugin in plugins(SOURCES):
        say(f"{plugin.name} - {_of_plugin(plugin, by_name, f'see `bizon stream list {plugin.name}`')}")


def print_streams(source: str, custom_source: str | None) -> None:
    """Each stream of a source. Imports the source only if its syntax tree is not enough. Raises ConfigError for a
    source that does not exist."""
    infos = [info for info in find_sources(_FOLDER / "sources", f"{_PACKAGE}.sources") if info.name == source]
    streams: dict[str, bool] = {}
    if custom_source is not None or not infos or any(info.error or info.streams is None for info in infos):
        streams = _streams_by_import(source, custom_source)
    else:
        for info in infos:
            streams.update(dict.fromkeys(info.streams or (), info.supports_incremental))
    say(f"Available streams for {source}:")
    for stream, incremental in streams.items():
        what = f"those that a configuration names, see {_OF_A_CONFIG}" if stream == ANY_STREAM else stream
        say(f"{_mode(incremental)} - {what}")


def is_a_pipeline(name: str) -> bool:
    """Whether ``bizon stream list`` was given the file of a pipeline, and not the name of a source."""
    return name.lower().endswith((".yml", ".yaml"))


def print_offered(config: str, custom_source: str | None, env_file: str | None) -> None:
    """Each stream of the source of a pipeline. A source whose streams only its connection knows is asked for them.
    Raises ConfigError and SourceError."""
    from bizon.cli.files import any_loaded_from, in_folder_of_paths
    from bizon.cli.text.console_logs import console_logs
    from bizon.engine.looking import offered_streams
    from bizon.source.discover import resolve_source_class, streams_of, supports_incremental
    from bizon.source.models import OfferedStream

    with in_folder_of_paths(config, custom_source, env_file) as (path, (custom_source, env_file)):
        loaded = any_loaded_from(path, custom_source, env_file)
        source_class = resolve_source_class(loaded.config.source)
        scrub = loaded.scrubber()
        with console_logs("ERROR", scrub):
            found = offered_streams(loaded)
        increments = supports_incremental(source_class)
        say(f"Available streams for {loaded.config.source.name}:")
        for each in found if found is not None else map(OfferedStream, streams_of(source_class)):
            say(scrub(f"{_mode(increments and each.is_incremental)} - {each.name}{_about(each)}"))


def print_destinations() -> None:
    """A line for each destination. If its packages are missing, the line names the extra that has them."""
    from bizon.common.models import DESTINATIONS as OUR_DESTINATIONS

    say("Available destinations:")
    built_in = OUR_DESTINATIONS.all()
    for name, config in built_in.items():
        say(f"{name} - {_described(config.__doc__ or '')}{_unavailable(name)}")
    for plugin in plugins(DESTINATIONS):
        say(f"{plugin.name} - {_of_plugin(plugin, built_in)}")


def _mode(incremental: bool) -> str:
    return f"[{'Supports incremental' if incremental else 'Full refresh only'}]"


def _about(stream: "OfferedStream") -> str:
    from bizon.cli.text.words import counted

    count = None if stream.records is None else f"about {counted(stream.records, 'record')}"
    known = ", ".join(filter(None, (stream.kind, count)))
    return f" ({known})" if known else ""


def _streams(name: str, infos: list[SourceInfo]) -> str:
    error = next((info.error for info in infos if info.error), None)
    if error is not None:
        return f"NOT AVAILABLE: {error}"
    if any(info.streams is None for info in infos):
        return f"[see `bizon stream list {name}`]"
    if any(ANY_STREAM in (info.streams or ()) for info in infos):
        return f"[see {_OF_A_CONFIG}]"
    return f"[{', '.join(stream for info in infos for stream in info.streams or ())}]"


def _streams_by_import(source: str, custom_source: str | None) -> dict[str, bool]:
    from bizon.source.discover import load_custom_source, load_source, streams_of, supports_incremental

    source_class = load_source(source) if custom_source is None else load_custom_source(custom_source)
    return dict.fromkeys(streams_of(source_class), supports_incremental(source_class))


def _described(docstring: str) -> str:
    """The first sentence of a config class's docstring, without the YAML that opens it."""
    first = " ".join(docstring.split("\n\n")[0].split())
    return re.sub(r"^``[^`]*``:\s*", "", first).rstrip(".")


def _of_plugin(plugin: Plugin, built_in: Collection[str], hint: str = "") -> str:
    if plugin.name in built_in:
        return f"NOT AVAILABLE: {plugin.package} has it, and bizon has a connector of the same name"
    return f"plug-in of {plugin.package}{f', {hint}' if hint else ''}"


def _unavailable(name: str) -> str:
    if name == "custom":
        return ""
    try:
        import_module(f"{_PACKAGE}.destinations.{name}.src.destination")
    except ModuleNotFoundError as error:
        from importlib.metadata import metadata

        extras = metadata("bizon").get_all("Provides-Extra") or []
        extra = next((each for each in (name, name.split("_")[0]) if each in extras), None)
        remedy = f"pip install 'bizon[{extra}]'" if extra else f"install {error.name}"
        return f" (NOT AVAILABLE: {remedy})"
    return ""
