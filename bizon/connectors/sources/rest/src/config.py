"""Configuration of the ``rest`` source."""

from collections.abc import Mapping
from typing import Any, Self

from pydantic import ConfigDict, Field, model_validator

from bizon.config.strict import refusal
from bizon.connectors.sources.rest.src.auth_config import RestAuthConfig, SigningConfig
from bizon.connectors.sources.rest.src.consistency import problems_of
from bizon.connectors.sources.rest.src.endpoint_config import DefaultsConfig, EndpointConfig
from bizon.connectors.sources.rest.src.pages_config import NoPages, Pages
from bizon.connectors.sources.rest.src.presets import with_preset
from bizon.connectors.sources.rest.src.template import Template
from bizon.connectors.sources.rest.src.values_config import Variables, secret_names
from bizon.source.config import HttpConfig, SourceConfig


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


def _with_a_preset(schema: dict[str, Any]) -> None:
    """A preset has keys that are required without one."""
    schema["required"] = [key for key in schema["required"] if key not in ("base_url", "endpoints")]


class RestSourceConfig(SourceConfig):
    """``source: {name: rest}``: any JSON API, described in YAML."""

    model_config = ConfigDict(json_schema_extra=_with_a_preset)

    variables: Variables = Field(
        default={}, description="Values for `{variables.KEY}` in texts. null = has to be set before it is used."
    )
    preset: str | None = Field(default=None, description="Description of an API that comes with bizon, to build on.")
    base_url: Template = Field(pattern=r"^https?://", description="URL of the API, without a final slash.")
    authentication: RestAuthConfig | None = Field(default=None, description="How to authenticate; see `type`.")
    signing: SigningConfig | None = Field(
        default=None, description="A file of yours that signs requests, instead of `authentication`."
    )
    http: RestHttpConfig | None = Field(default=None, description="HTTP time-outs, retries and limits.")
    endpoints: dict[str, EndpointConfig] = Field(
        min_length=1, description="The streams: a list of the API each, by name."
    )
    defaults: DefaultsConfig = Field(default_factory=DefaultsConfig, description="Settings that all endpoints share.")

    @model_validator(mode="before")
    @classmethod
    def _on_its_preset(cls, block: Any) -> Any:
        return with_preset(block)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        problems = list(problems_of(self))
        if problems:
            raise refusal(type(self).__name__, problems)
        return self

    @classmethod
    def streams_named_in(cls, block: Mapping[str, Any]) -> list[str] | None:
        """The endpoints, also of a preset."""
        endpoints = with_preset(block).get("endpoints")
        return list(endpoints) if isinstance(endpoints, Mapping) else None

    def in_share(self, count: int) -> Self:
        """The rate is divided."""
        if self.http is None or self.http.rate is None:
            return self
        return self.model_copy(update={"http": self.http.model_copy(update={"rate": self.http.rate / count})})

    @property
    def endpoint(self) -> EndpointConfig:
        """The endpoint of the stream."""
        return self.endpoints[self.stream]

    @property
    def can_be_incremental(self) -> bool:
        """Whether the endpoint says how to ask for changes."""
        return self.endpoint.incremental is not None

    @property
    def window_overlap(self) -> float:
        """The lookback of the endpoint, or else of the source."""
        limits = self.endpoint.incremental
        own = None if limits is None else limits.lookback
        return own or self.incremental_lookback

    def pages_of(self, endpoint: EndpointConfig) -> Pages:
        """The paging of an endpoint: its own, or the usual one."""
        return endpoint.pages or self.defaults.pages or NoPages(type="none")

    @property
    def token_in_path(self) -> str | None:
        """The token, when it is part of URLs."""
        place, _, token = ("", "", "") if self.authentication is None else self.authentication.place
        return token if place == "path" else None

    @property
    def hidden_params(self) -> frozenset[str]:
        """Names of query parameters that are credentials."""
        place, name, _ = ("", "", "") if self.authentication is None else self.authentication.place
        given = [self.defaults.params, *(endpoint.params for endpoint in self.endpoints.values())]
        named = [name for params in given for name in secret_names(params, self.variables)]
        return frozenset([*named, name] if place == "params" else named)
