"""The key ``endpoints``: one list of the API each."""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from bizon.config.strict import StrictModel, stated
from bizon.connectors.sources.rest.src.incremental_config import IncrementalConfig
from bizon.connectors.sources.rest.src.pages_config import Pages
from bizon.connectors.sources.rest.src.selector import Selector, holds
from bizon.connectors.sources.rest.src.template import Template, names_in, names_in_body
from bizon.connectors.sources.rest.src.values_config import Body, Headers, Params, Statuses


class ErrorRule(StrictModel):
    """The meaning of an answer. The first rule that fits decides; without one, the usual meaning of its status."""

    status: Statuses | None = Field(
        default=None, min_length=1, description="HTTP status, or a list of them; any when left out."
    )
    when: Selector | None = Field(
        default=None, description="JMESPath in the JSON answer that must hold, also in one of status 200."
    )
    then: Literal["skip", "retry", "fail"] = Field(
        description="skip = the list ends here, and a warning counts it | retry = ask again, within `http.retries` | "
        "fail = end the run."
    )

    @model_validator(mode="after")
    def _says_which_answers(self) -> Self:
        if self.status is None and self.when is None:
            raise stated("a rule needs `status`, `when`, or both")
        return self

    def fits(self, status: int, value: Any) -> bool:
        """Whether the rule is about an answer. ``value``: its JSON value, None when it has none."""
        if self.status is not None and status not in self.status:
            return False
        return self.when is None or (value is not None and holds(self.when, value))


class ParentConfig(StrictModel):
    """The list whose records this one is read for."""

    stream: str = Field(min_length=1, description="Endpoint of the parents.")
    include: dict[str, Selector] = Field(
        default={}, description="Fields that each record gets from its parent, name: JMESPath in the parent."
    )


class DefaultsConfig(StrictModel):
    """Settings that endpoints share. Headers and params are added to theirs; the rest applies where they have none."""

    headers: Headers = Field(default={}, description="Headers of every request, name: value.")
    params: Params = Field(default={}, description="Query parameters of every request, name: value.")
    pages: Pages | None = Field(default=None, description="Paging; see `type`. Default: none.")
    errors: list[ErrorRule] = Field(default=[], description="Rules that come after the endpoint's rules.")


class EndpointConfig(StrictModel):
    """A list of the API: where it is, where its records are, how it is paged."""

    path: Template = Field(
        description="Path below `base_url`, with `{parent.KEY}` for values of the parent; or a whole URL of its host."
    )
    method: Literal["GET", "POST"] = Field(default="GET", description="GET | POST.")
    params: Params = Field(default={}, description="Query parameters, name: value. null leaves out a default.")
    headers: Headers = Field(default={}, description="Headers, name: value.")
    json_: Body | None = Field(
        default=None, alias="json", description="JSON body. For GraphQL: `query` and `variables`; `errors` then fail."
    )
    format: Literal["auto", "json", "ndjson", "csv", "xml"] = Field(
        default="auto", description="Format of the answer; auto = by its content type, JSON when that says nothing."
    )
    records: Selector = Field(
        default="@", description="JMESPath of the list of records. Default: the answer itself, when it is a list."
    )
    id: Selector | list[Selector] = Field(
        default="id", description="JMESPath of the id of a record, or a list of them, joined with ':'."
    )
    timestamp: Selector | None = Field(
        default=None,
        description="JMESPath of the time of a record, in the format `incremental.cursor_format` or ISO 8601.",
    )
    parent: ParentConfig | None = Field(default=None, description="The list whose records this one is read for.")
    pages: Pages | None = Field(default=None, description="Paging; see `type`.")
    incremental: IncrementalConfig | None = Field(default=None, description="How to ask for what changed.")
    where: Selector | None = Field(
        default=None, description="JMESPath that a record must satisfy to be loaded; the others are counted."
    )
    deleted: Selector | None = Field(
        default=None,
        description="JMESPath that marks a record as a tombstone: it gets `_deleted: true`, for `deleted_field` of a "
        "table.",
    )
    errors: list[ErrorRule] = Field(default=[], description="The meaning of answers that are not pages.")

    @property
    def ids(self) -> list[str]:
        """The selectors of the id."""
        return self.id if isinstance(self.id, list) else [self.id]

    def keys_of(self, group: str) -> list[str]:
        """The keys of ``parent`` or ``variables`` that templates use, without repetition."""
        return list(
            dict.fromkeys(name.removeprefix(f"{group}.") for name in self.names() if name.startswith(f"{group}."))
        )

    def names(self) -> list[str]:
        """The names in the braces of all texts."""
        return [*names_in([self.path, self.params, self.headers]), *names_in_body(self.json_)]
