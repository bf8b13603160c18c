"""``bizon source list``, ``stream list``, ``destination list``."""

import re
from collections.abc import Collection
from importlib import import_module
from pathlib import Path

from bizon.cli.output import say
from bizon.discovery.plugins import DESTINATIONS, SOURCES, Plugin, plugins
from bizon.source.discover_ast import SourceInfo, find_sources

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
        say(f"[{'Supports incremental' if incremental else 'Full refresh only'}] - {stream}")


def print_destinations() -> None:
    """A line for each destination. If its packages are missing, the line names the extra that has them."""
    from bizon.common.models import DESTINATIONS as OUR_DESTINATIONS

    say("Available destinations:")
    built_in = OUR_DESTINATIONS.all()
    for name, config in built_in.items():
        say(f"{name} - {_described(config.__doc__ or '')}{_unavailable(name)}")
    for plugin in plugins(DESTINATIONS):
        say(f"{plugin.name} - {_of_plugin(plugin, built_in)}")


def _streams(name: str, infos: list[SourceInfo]) -> str:
    error = next((info.error for info in infos if info.error), None)
    if error is not None:
        return f"NOT AVAILABLE: {error}"
    if any(info.streams is None for info in infos):
        return f"[see `bizon stream list {name}`]"
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
