"""The source ``rest`` killed inside of a list, in every style of paging and format of answers: the server counts."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from e2e.test_rest import wait_until_all_is_committed
from standins.rest.server import (
    Asked,
    Reply,
    RestStandIn,
    by_cursor,
    by_key,
    by_link,
    by_offset,
    by_page,
    by_url,
    items,
)

if TYPE_CHECKING:
    from conftest import Pipeline

COUNT, SIZE = 16, 2
Answer = Callable[[Asked, RestStandIn], Any]


class Style(NamedTuple):
    """The keys of an endpoint, and what answers."""

    endpoint: dict[str, Any]
    answer: Answer


def in_the_body(asked: Asked, api: RestStandIn) -> Any:
    return by_cursor(items(COUNT), asked)


def as_lines(asked: Asked, api: RestStandIn) -> Reply:
    found = by_page(items(COUNT), asked)["items"]
    return Reply("".join(f"{json.dumps(each)}\n" for each in found).encode(), 200, {"Content-Type": "text/plain"})


def as_csv(asked: Asked, api: RestStandIn) -> Reply:
    found = by_page(items(COUNT), asked)["items"]
    return Reply(("id,name\n" + "".join(f"{each['id']},x\n" for each in found)).encode())


def as_xml(asked: Asked, api: RestStandIn) -> Reply:
    found = "".join(f"<item><id>{each['id']}</id></item>" for each in by_page(items(COUNT), asked)["items"])
    return Reply(f"<items>{found}</items>".encode(), 200, {"Content-Type": "application/xml"})


PAGE = {"type": "page", "param": "page"}
CURSOR = {"records": "data.items", "pages": {"type": "cursor", "param": "cursor", "next": "meta.next"}}
STYLES = {
    "cursor": Style(CURSOR, in_the_body),
    "cursor in a body": Style({**CURSOR, "method": "POST", "pages": {**CURSOR["pages"], "where": "json"}}, in_the_body),
    "next_url": Style(
        {"records": "items", "pages": {"type": "next_url", "next": "next"}},
        lambda asked, api: by_url(items(COUNT), asked, api.url),
    ),
    "link_header": Style({"pages": {"type": "link_header"}}, lambda asked, api: by_link(items(COUNT), asked, api.url)),
    "page": Style({"records": "items", "pages": PAGE}, lambda asked, api: by_page(items(COUNT), asked)),
    "offset": Style(
        {"records": "items", "pages": {"type": "offset", "param": "offset"}},
        lambda asked, api: by_offset(items(COUNT), asked),
    ),
    "keyset": Style(
        {"records": "data", "pages": {"type": "keyset", "param": "starting_after", "more": "has_more"}},
        lambda asked, api: by_key(items(COUNT), asked),
    ),
    "ndjson": Style({"format": "ndjson", "pages": PAGE}, as_lines),
    "csv": Style({"format": "csv", "pages": PAGE}, as_csv),
    "xml": Style({"format": "xml", "records": "items.item", "pages": PAGE}, as_xml),
}


@pytest.fixture
def api() -> Iterator[RestStandIn]:
    with RestStandIn().running() as server:
        yield server


@pytest.mark.matrix(share=20)
@pytest.mark.parametrize("runner", ["thread", "process", "stream"])
@pytest.mark.parametrize("page", [3, 7])
@pytest.mark.parametrize("style", STYLES)
def test_a_kill_inside_of_a_list_costs_the_page_in_flight(
    pipeline: "Pipeline", api: RestStandIn, style: str, page: int, runner: str
) -> None:
    endpoint, answer = STYLES[style]
    api.routes["/items"] = lambda asked: answer(asked, api)
    endpoints = {"items": {"path": "/items", **endpoint}}
    pipeline.source(source_file_path=None, name="rest", stream="items", base_url=api.url, endpoints=endpoints)
    pipeline.destination(buffer_size=0)
    killed: list[int] = []
    place: list[str] = []

    def kill(asked: Asked) -> None:
        if killed and len(api.served) == page:
            wait_until_all_is_committed(pipeline, page - 1)
            place.append(asked.key)
            os.killpg(killed.pop(), signal.SIGKILL)

    api.before = kill
    run = pipeline.start("--runner", runner)
    killed.append(run.pid)
    run.communicate(timeout=60)
    assert run.returncode == -signal.SIGKILL
    pipeline.run("--runner", runner)
    assert pipeline.ids() == list(range(1, COUNT + 1))
    first = api.served[0].key  # the check of the connection asks for it
    assert {key for key, count in api.counts().items() if count > 1} == {first, *place}
    assert max(api.counts().values()) == 2
