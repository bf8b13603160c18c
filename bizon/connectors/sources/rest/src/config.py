"""Configuration of the ``rest`` source."""

from collections.abc import Iterator
from typing import Any, Self

from pydantic import Field, model_validator

from bizon.config.strict import allowed, nearest, refusal
from bizon.connectors.sources.rest.src.auth_config import PlacedTokenParams, RestAuthConfig
from bizon.connectors.sources.rest.src.endpoint_config import DefaultsConfig, EndpointConfig
from bizon.connectors.sources.rest.src.pages_config import NoPages, Pages, SizedConfig
from bizon.connectors.sources.rest.src.presets import with_preset
from bizon.connectors.sources.rest.src.template import Template, names_in
from bizon.source.config import HttpConfig, SourceConfig

_Place = tuple[str | int, ...]


class RestHttpConfig(HttpConfig):
    """HTTP time-outs, retries and limits."""

    rate: float | None = Field(
        default=None,
        gt=0,
        le=10_000,
        description="Most requests per second, all threads together. null = as fast as the API answers.",
    )
    concurrency: int = Field(
        default=1, ge=1, le=64, description="Pages requested at once, for paging by `page` and `offset`."
    )


class RestSourceConfig(SourceConfig):
    """``source: {name: rest}``: any JSON API, described in YAML."""

    variables: dict[str, str | int | None] = Field(
        default={}, description="Values for `{variables.KEY}` in texts. null = has to be set before it is used."
    )
    preset: str | None = Field(default=None, description="Description of an API that comes with bizon, to build on.")
    base_url: Template = Field(pattern=r"^https?://", description="URL of the API, without a final slash.")
    authentication: RestAuthConfig | None = Field(default=None, description="How to authenticate; see `type`.")
    http: RestHttpConfig | None = Field(default=None, description="HTTP time-outs, retries and limits.")
    defaults: DefaultsConfig = Field(default_factory=DefaultsConfig, description="What all endpoints share.")
    endpoints: dict[str, EndpointConfig] = Field(
        min_length=1, description="The streams: a list of the API each, by name."
    )

    @model_validator(mode="before")
    @classmethod
    def _on_its_preset(cls, block: Any) -> Any:
        return with_preset(block)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        problems = list(self._problems())
        if problems:
            raise refusal(type(self).__name__, problems)
        return self

    @property
    def endpoint(self) -> EndpointConfig:
        """The endpoint of the stream."""
        return self.endpoints[self.stream]

    @property
    def can_be_incremental(self) -> bool:
        """Whether the endpoint says how to ask for changes."""
        return self.endpoint.incremental is not None

    def pages_of(self, endpoint: EndpointConfig) -> Pages:
        """The paging of an endpoint: its own, or the usual one."""
        return endpoint.pages or self.defaults.pages or NoPages(type="none")

    @property
    def token_in_path(self) -> str | None:
        """The token, when it is part of URLs."""
        params = None if self.authentication is None else self.authentication.params
        return params.token if isinstance(params, PlacedTokenParams) and params.placement == "path" else None

    def _problems(self) -> Iterator[tuple[_Place, str]]:
        """Mistakes between keys, and where they are."""
        names = list(self.endpoints)
        if self.stream not in names:
            yield ("stream",), f"no such endpoint{allowed(names)}{nearest(self.stream, names)}"
        elif self.is_incremental and self.endpoint.incremental is None:
            yield ("sync_mode",), f"endpoint '{self.stream}' has no `incremental`, which says how to ask for changes"
        if self.is_endless:
            yield ("sync_mode",), "an API has no endless stream; use full_refresh or incremental"
        for name in self.base_names():
            yield (
                ("base_url",),
                f"{{{name}}} has no value there; allowed: {{variables.KEY}}, and {{token}} with `authentication.params.in: path`",
            )
        for name, endpoint in self.endpoints.items():
            for place, text in self._problems_of(name, endpoint):
                yield ("endpoints", name, *place), text

    def base_names(self) -> list[str]:
        """The names in ``base_url`` that cannot have a value."""
        known = ("token",) if self.token_in_path is not None else ()
        return [name for name in names_in(self.base_url) if name not in known and not name.startswith("variables.")]

    def _missing_variables(self) -> Iterator[str]:
        """The variables without a value that the stream uses, or one of its parents."""
        used = [name.removeprefix("variables.") for name in names_in([self.base_url, self.defaults.params])]
        used += [name.removeprefix("variables.") for name in names_in(self.defaults.headers)]
        endpoint, seen = self.endpoints.get(self.stream), set[str]()
        while endpoint is not None:
            used += endpoint.keys_of("variables")
            above = endpoint.parent.stream if endpoint.parent else ""
            endpoint = None if above in seen else self.endpoints.get(above)
            seen.add(above)
        reserved = ("token", "since", "until", "page")
        yield from (name for name in used if name not in reserved and self.variables.get(name.split(".")[0]) is None)

    def _problems_of(self, name: str, endpoint: EndpointConfig) -> Iterator[tuple[_Place, str]]:
        incremental, pages = endpoint.incremental, self.pages_of(endpoint)
        where = pages.where if isinstance(pages, SizedConfig) else "params"
        if endpoint.parent is None:
            if keys := endpoint.keys_of("parent"):
                yield ("path",), f"{{parent.{keys[0]}}} needs the key `parent`"
        else:
            yield from self._problems_of_parent(name, endpoint)
        if endpoint.method == "GET" and endpoint.json_ is not None:
            yield ("json",), "a body needs `method: POST`"
        if where == "json" and endpoint.method == "GET":
            yield ("pages",), "`where: json` needs `method: POST`"
        has_page = "page" in names_in(endpoint.path)
        if (where == "path") != has_page:
            yield ("path",), "`{page}` in the path goes with `pages.where: path`"
        if "token" in names_in(endpoint.path) and self.token_in_path is None:
            yield ("path",), "`{token}` needs `authentication.params.in: path`"
        yield from _problems_of_ends(endpoint)
        if incremental is not None and self.incremental_lookback and incremental.lookback:
            yield ("incremental", "lookback"), "`source.incremental_lookback` is set, too; keep one of them"

    def _problems_of_parent(self, name: str, endpoint: EndpointConfig) -> Iterator[tuple[_Place, str]]:
        seen, above = [name], endpoint.parent.stream if endpoint.parent else ""
        while True:
            if above in seen:
                yield ("parent", "stream"), f"endpoints in a circle: {' > '.join([*seen, above])}"
                return
            found = self.endpoints.get(above)
            if found is None:
                others = [each for each in self.endpoints if each != name]
                if len(seen) == 1:
                    yield ("parent", "stream"), f"no such endpoint{allowed(others)}{nearest(above, others)}"
                return
            if found.parent is None:
                return
            seen.append(above)
            above = found.parent.stream


def _problems_of_ends(endpoint: EndpointConfig) -> Iterator[tuple[_Place, str]]:
    """Mistakes in the use of ``{since}`` and ``{until}``."""
    limits = endpoint.incremental
    used = set(names_in([endpoint.params, endpoint.headers, endpoint.json_]))
    for end in ("since", "until"):
        bound = None if limits is None else getattr(limits, end)
        if end in names_in(endpoint.path):
            yield ("path",), f"{{{end}}} cannot be part of a path, since it may be absent; use params, headers or json"
        if end in used and bound is None:
            yield ("incremental",) if limits else (), f"{{{end}}} needs `incremental.{end}`"
        if bound is not None and bound.param is None and end not in used:
            yield ("incremental", end), f"needs `param`, or a text with {{{end}}} in `params`, `headers` or `json`"
        if bound is not None and bound.where == "json" and endpoint.method == "GET":
            yield ("incremental", end, "in"), "`in: json` needs `method: POST`"
