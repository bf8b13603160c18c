"""Mistakes between the keys of a ``source`` block that each are valid by themselves."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from bizon.config.strict import allowed, nearest
from bizon.connectors.sources.rest.src.template import names_in, names_in_body

if TYPE_CHECKING:
    from bizon.connectors.sources.rest.src.config import RestSourceConfig
    from bizon.connectors.sources.rest.src.endpoint_config import EndpointConfig

_Problem = tuple[tuple[str | int, ...], str]
"""The path of a key, and what is wrong there."""

_ENDS = ("since", "until")


def problems_of(config: "RestSourceConfig") -> Iterator[_Problem]:
    """Every mistake. Called once the block is valid key by key."""
    names = list(config.endpoints)
    if config.stream not in names:
        yield ("stream",), f"no such endpoint{allowed(names)}{nearest(config.stream, names)}"
    elif config.is_incremental and config.endpoint.incremental is None:
        yield ("sync_mode",), f"endpoint '{config.stream}' has no `incremental`, which says how to ask for changes"
    if config.is_endless:
        yield ("sync_mode",), "an API has no endless stream; use full_refresh or incremental"
    has_token = config.token_in_path is not None
    yield from _misplaced(("base_url",), names_in(config.base_url), ("variables", *(("token",) if has_token else ())))
    if config.signing is not None and config.authentication is not None:
        yield ("signing",), "`authentication` is set, too; keep one of them"
    defaults = config.defaults
    yield from _misplaced(("defaults", "params"), names_in(defaults.params), ("variables", *_ENDS))
    yield from _misplaced(("defaults", "headers"), names_in(defaults.headers), ("variables", *_ENDS))
    for name in dict.fromkeys(_missing_variables(config)):
        yield ("variables", name), f"`{{variables.{name}}}` is used, and has no value"
    for name, endpoint in config.endpoints.items():
        for place, text in _problems_of(config, name, endpoint):
            yield ("endpoints", name, *place), text


def _misplaced(place: tuple[str, ...], names: Iterable[str], known: Iterable[str]) -> Iterator[_Problem]:
    """Names in braces that have no value at a place."""
    groups = [*known]
    for name in dict.fromkeys(names):
        if name.partition(".")[0] not in groups:
            shown = [f"{{{each}.KEY}}" if each in ("parent", "variables") else f"{{{each}}}" for each in groups]
            yield place, f"{{{name}}} has no value here{allowed(shown)}"


def _problems_of(config: "RestSourceConfig", name: str, endpoint: "EndpointConfig") -> Iterator[_Problem]:
    groups = ("variables", "parent") if endpoint.parent else ("variables",)
    where = getattr(config.pages_of(endpoint), "where", "params")
    in_path = [each for each, is_there in (("page", where == "path"), ("token", config.token_in_path)) if is_there]
    yield from _misplaced(("path",), names_in(endpoint.path), (*groups, *in_path))
    for key, value in (("params", endpoint.params), ("headers", endpoint.headers)):
        yield from _misplaced((key,), names_in(value), (*groups, *_ENDS))
    yield from _misplaced(("json",), names_in_body(endpoint.json_), (*groups, *_ENDS))
    if "://" in endpoint.path and urlsplit(endpoint.path)[:2] != urlsplit(config.base_url)[:2]:
        yield ("path",), "leads to another host than `base_url`, which would get the credentials"
    if endpoint.parent is not None:
        yield from _problems_of_parent(config, name)
    if endpoint.method == "GET" and endpoint.json_ is not None:
        yield ("json",), "a body needs `method: POST`"
    if endpoint.method == "GET" and where == "json":
        yield ("pages",), "`where: json` needs `method: POST`"
    if where == "path" and "page" not in names_in(endpoint.path):
        yield ("path",), "`pages.where: path` needs `{page}` in the path"
    yield from _problems_of_ends(endpoint)
    if endpoint.incremental is not None and endpoint.incremental.lookback and config.incremental_lookback:
        yield ("incremental", "lookback"), "`source.incremental_lookback` is set, too; keep one of them"


def _problems_of_parent(config: "RestSourceConfig", name: str) -> Iterator[_Problem]:
    """A parent that does not exist, or a circle."""
    seen, parent = [name], config.endpoints[name].parent
    while parent is not None:
        if parent.stream in seen:
            yield ("parent", "stream"), f"endpoints in a circle: {' > '.join([*seen, parent.stream])}"
            return
        if parent.stream not in config.endpoints:
            others = [each for each in config.endpoints if each != name]
            if len(seen) == 1:  # else it is the mistake of the endpoint above
                yield ("parent", "stream"), f"no such endpoint{allowed(others)}{nearest(parent.stream, others)}"
            return
        seen.append(parent.stream)
        parent = config.endpoints[parent.stream].parent


def _problems_of_ends(endpoint: "EndpointConfig") -> Iterator[_Problem]:
    """Mistakes in the use of ``{since}`` and ``{until}``."""
    limits = endpoint.incremental
    used = set(endpoint.names())
    for end in _ENDS:
        bound = None if limits is None else getattr(limits, end)
        if end in used and bound is None:
            yield ("incremental",) if limits else (), f"{{{end}}} needs `incremental.{end}`"
        if bound is not None and bound.param is None and end not in used:
            yield ("incremental", end), f"needs `param`, or a text with {{{end}}} in `params`, `headers` or `json`"
        if bound is not None and bound.where == "json" and endpoint.method == "GET":
            yield ("incremental", end, "in"), "`in: json` needs `method: POST`"


def _missing_variables(config: "RestSourceConfig") -> Iterator[str]:
    """The variables without a value that the stream uses, or one of its parents."""
    used = [*names_in([config.base_url, config.defaults.params, config.defaults.headers])]
    endpoint, seen = config.endpoints.get(config.stream), set[str]()
    while endpoint is not None:
        used += endpoint.names()
        above = endpoint.parent.stream if endpoint.parent else ""
        endpoint = None if above in seen else config.endpoints.get(above)
        seen.add(above)
    for name in used:
        group, _, key = name.partition(".")
        if group == "variables" and config.variables.get(key) is None:
            yield key
