"""The source keeps the contract of sources, in every style of paging."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar

import pytest
from connectors.sources.rest.conftest import block
from standins.rest.server import (
    TOKEN,
    Asked,
    RestStandIn,
    by_cursor,
    by_key,
    by_link,
    by_offset,
    by_page,
    by_url,
    changed_within,
    items,
)

from bizon.connectors.sources.rest.src.source import RestSource
from bizon.testing.source import SourceConformance

pytestmark = pytest.mark.matrix(share=20)

LIMITS = {"cursor_field": "updated_at", "since": {"param": "since"}, "until": {"param": "until"}}
BEARER = {"type": "bearer", "params": {"token": TOKEN}}


class RestConformance(SourceConformance):
    """``endpoint``: the keys of the endpoint ``items``."""

    source_class = RestSource
    endpoint: ClassVar[dict[str, Any]] = {}
    authentication: ClassVar[dict[str, Any]] = BEARER
    served_at = "/items"
    concurrency = 1

    @pytest.fixture
    def config(self, api: RestStandIn) -> dict[str, Any]:
        self.records = items()
        api.admits = self.admits
        api.routes[self.served_at] = lambda asked: self.answer(api, changed_within(self.records, asked), asked)
        endpoint = {"incremental": LIMITS, "timestamp": "updated_at", **self.endpoint}
        http = {"retries": {"backoff_factor": 0}, "concurrency": self.concurrency}
        return block(api, endpoint, authentication=self.authentication, http=http)

    def admits(self, asked: Asked) -> bool:
        return asked.headers.get("authorization") == f"Bearer {TOKEN}"

    def answer(self, api: RestStandIn, records: list[Any], asked: Asked) -> Any:
        raise NotImplementedError

    def change(self, config: Mapping[str, Any]) -> list[str]:
        self.records[2] |= {"name": "changed", "updated_at": datetime.now(UTC).isoformat()}
        return ["3"]


class TestCursor(RestConformance):
    endpoint: ClassVar = {
        "records": "data.items",
        "pages": {"type": "cursor", "param": "cursor", "next": "meta.next", "total": "meta.total"},
    }

    def answer(self, api: RestStandIn, records: list[Any], asked: Asked) -> Any:
        return by_cursor(records, asked)


class TestCursorInABody(TestCursor):
    endpoint: ClassVar = {
        **TestCursor.endpoint,
        "method": "POST",
        "pages": {**TestCursor.endpoint["pages"], "where": "json"},
        "incremental": {**LIMITS, "since": {"param": "since", "in": "json"}, "until": {"param": "until", "in": "json"}},
    }


class TestNumbers(RestConformance):
    endpoint: ClassVar = {"pages": {"type": "page", "param": "page", "total": "total"}}

    def answer(self, api: RestStandIn, records: list[Any], asked: Asked) -> Any:
        return by_page(records, asked)


class TestOffset(RestConformance):
    endpoint: ClassVar = {"pages": {"type": "offset", "param": "offset", "size_param": "limit", "size": 2}}

    def answer(self, api: RestStandIn, records: list[Any], asked: Asked) -> Any:
        return by_offset(records, asked)


class TestOffsetAhead(TestOffset):
    concurrency = 4


class TestKeyset(RestConformance):
    endpoint: ClassVar = {
        "records": "data",
        "pages": {"type": "keyset", "param": "starting_after", "more": "has_more"},
    }

    def answer(self, api: RestStandIn, records: list[Any], asked: Asked) -> Any:
        return by_key(records, asked)


class TestNextUrl(RestConformance):
    endpoint: ClassVar = {"pages": {"type": "next_url", "next": "next"}}

    def answer(self, api: RestStandIn, records: list[Any], asked: Asked) -> Any:
        return by_url(records, asked, api.url)


class TestLinkHeader(RestConformance):
    endpoint: ClassVar = {"records": "@", "pages": {"type": "link_header"}}

    def answer(self, api: RestStandIn, records: list[Any], asked: Asked) -> Any:
        return by_link(records, asked, api.url)


class TestKeyInTheQueryThatLinksRepeat(TestNextUrl):
    """The API repeats the key in its links; no checkpoint has it."""

    authentication: ClassVar = {"type": "api_key", "params": {"token": TOKEN, "in": "params", "name": "api_key"}}

    def admits(self, asked: Asked) -> bool:
        return asked.params.get("api_key") == TOKEN


class TestTokenInAPath(TestNumbers):
    authentication: ClassVar = {"type": "api_key", "params": {"token": TOKEN, "in": "path"}}
    endpoint: ClassVar = {**TestNumbers.endpoint, "path": "/bot{token}/items"}
    served_at = "/bot*"

    def admits(self, asked: Asked) -> bool:
        return asked.path == f"/bot{TOKEN}/items"


class TestFilteredHere(TestNumbers):
    """The API cannot filter by time."""

    endpoint: ClassVar = {**TestNumbers.endpoint, "incremental": {"cursor_field": "updated_at"}}


class TestNotIncremental(TestNumbers):
    endpoint: ClassVar = {**TestNumbers.endpoint, "incremental": None}
    not_applicable: ClassVar = dict.fromkeys(
        (
            "an_incremental_run_without_changes_finds_nothing",
            "an_incremental_run_finds_exactly_what_changed",
            "equal_timestamps_at_the_edge_of_a_window_are_not_lost",
        ),
        "cannot be incremental",
    )


class TestChildren(RestConformance):
    not_applicable: ClassVar = {"nothing_follows_the_last_page": "the pagination holds no text or number"}

    @pytest.fixture
    def config(self, api: RestStandIn) -> dict[str, Any]:
        self.records = items()
        api.admits = self.admits
        api.routes["/groups"] = lambda asked: by_page([{"id": "a"}, {"id": "b"}, {"id": "c"}], asked)
        api.routes["/groups/*"] = lambda asked: by_page(
            changed_within([each for each in self.records if "abc"[each["id"] % 3] == asked.path.split("/")[2]], asked),
            asked,
        )
        endpoints = {
            "groups": {"path": "/groups", "records": "items", "pages": TestNumbers.endpoint["pages"]},
            "items": {
                "path": "/groups/{parent.id}/items",
                "records": "items",
                "parent": {"stream": "groups", "include": {"group": "id"}},
                "pages": TestNumbers.endpoint["pages"],
                "incremental": LIMITS,
                "timestamp": "updated_at",
            },
        }
        return block(api, {}, endpoints=endpoints, authentication=BEARER, http={"retries": {"backoff_factor": 0}})
