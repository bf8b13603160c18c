"""Every style of paging against every fault of a server: each pair is met, or CANNOT_BE says why it does not occur."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, get_args

import pytest
import requests
from connectors.sources.rest.conftest import block, pages_of, records_of
from connectors.sources.rest.hostile import COUNTED, SIZE, STYLES, Api, Style
from standins.rest.server import TOKEN, Asked, Json, Reply, RestStandIn, items

from bizon.common.errors.errors import SourceFetchError
from bizon.connectors.sources.rest.src.pages_config import Pages, Placement
from bizon.source.models import SourceIncrementalState

pytestmark = pytest.mark.matrix(share=8, pool="hostile servers")

COUNT = 9
BEGIN = datetime(2024, 5, 1, 10, tzinfo=UTC)
HOUR = {"retries": {"backoff_factor": 3600, "total": 2, "retry_after_max": None}}
"""Waits that no test survives, unless the server asks for others."""
QUICK = {"retries": {"backoff_factor": 0, "total": 2}}


class World:
    """A style, its API, and the source that reads it."""

    def __init__(self, server: RestStandIn, style: Style) -> None:
        self.server = server
        self.style = style
        self.api = Api(server, style, items(COUNT))
        self.http: Json = QUICK
        self.keys: Json = {}
        self.log: Callable[[], str] = str

    def source(self, **pages: Any) -> Json:
        return block(self.server, {**self.style.endpoint(**pages), **self.keys}, http=self.http)

    def ids(self, state: SourceIncrementalState | None = None, **pages: Any) -> list[str]:
        return [each.id for each in records_of(self.source(**pages), state)]

    def once(self, *replies: Reply) -> None:
        """Give these answers to the last request of a list, and then the right one."""
        waiting = list(replies)
        last = self.requests

        def before(_asked: Asked) -> Reply | None:
            return waiting.pop(0) if waiting and len(self.server.served) >= last else None

        self.server.before = before

    @property
    def requests(self) -> int:
        """The number of requests that the list takes."""
        pages = -(-COUNT // self.api.size)
        return pages + 1 if self.style.type in (*COUNTED, "keyset") else pages

    def comes_once(self, *replies: Reply) -> None:
        """All records come once although the server gives other answers first, which are asked for again."""
        self.once(*replies)
        assert self.ids() == ALL
        assert len(self.server.served) == self.requests + len(replies)

    def fails(self, text: str, state: SourceIncrementalState | None = None, **pages: Any) -> None:
        with pytest.raises((SourceFetchError, requests.RequestException, ValueError), match=text):
            pages_of(self.source(**pages), state)


ALL = [str(number) for number in range(1, COUNT + 1)]


def seconds(world: World) -> None:
    world.http = HOUR
    world.comes_once(Reply({}, 429, {"Retry-After": "0"}))


def date(world: World) -> None:
    world.http = HOUR
    world.comes_once(Reply({}, 429, {"Retry-After": format_datetime(datetime.now(UTC), usegmt=True)}))


def unavailable(world: World) -> None:
    world.comes_once(Reply({}, 503), Reply(b"<html>busy</html>", 503, {"Content-Type": "text/html"}))


def cut(world: World) -> None:
    """The connection is closed before the length that the answer has announced."""
    world.comes_once(Reply(b'{"items": [', headers={"Content-Length": "1000", "Connection": "close"}))


def truncated(world: World) -> None:
    """The length is right, and the JSON ends in its middle."""
    whole = json.dumps({"items": items(SIZE)}).encode()
    world.once(Reply(whole[:-9]))
    world.fails("not valid JSON")


def stuck(world: World) -> None:
    """The API gives its first page to everybody."""
    world.api.turn = lambda start: 0
    by_number = world.style.type in COUNTED
    world.fails("the same records as the page before" if by_number else "names one that came before")
    assert len(world.server.served) <= 3


def circle(world: World) -> None:
    """After the third page the first one follows."""
    if world.style.names_pages:
        world.api.named = lambda end: end % (3 * SIZE)
    else:
        world.api.turn = lambda start: start % (3 * SIZE)
    world.api.records = [{"id": number, "updated_at": BEGIN.isoformat()} for number in range(1, 900)]
    world.fails("the same records as an earlier page" if world.style.type in COUNTED else "names one that came before")
    assert len(world.server.served) < 20


def capped(world: World) -> None:
    """The API gives out no more than six records of a list, and says that there are none."""
    world.api.cap = 3 * SIZE
    world.fails("there may be more", cap=3 * SIZE)


def capped_windows(world: World) -> None:
    """With the number of records, windows are split until each is below the cap."""
    world.api.cap = 3 * SIZE
    window = SourceIncrementalState(last_run=BEGIN, run_started_at=BEGIN + timedelta(days=30))
    assert world.ids(window, cap=3 * SIZE, total="total") == ALL


def cut_off(world: World) -> None:
    """The list has fewer records than the API says."""
    world.api.cut_to = COUNT - 1
    world.fails("the list has 9 records by `pages.total`, and 8 came", total="total", strict=True)


def html(world: World) -> None:
    """A page for browsers, with status 200."""
    world.once(Reply(b"<html>please log in</html>", headers={"Content-Type": "text/html"}))
    world.fails("not valid JSON")


def refused(world: World) -> None:
    world.once(Reply(b"<html>no</html>", 403, {"Content-Type": "text/html"}))
    world.fails("HTTP 403")


def redirected(world: World) -> None:
    """The other host gets no credentials, and its answer is none of the API."""
    with RestStandIn().running() as other:
        other.admits = lambda asked: asked.headers.get("authorization") == f"Bearer {TOKEN}"
        place = other.url.replace("127.0.0.1", "localhost")
        world.once(Reply({}, 307, {"Location": f"{place}/items"}))
        with pytest.raises(requests.HTTPError, match="HTTP 401"):
            pages_of({**world.source(), "authentication": {"type": "bearer", "params": {"token": TOKEN}}})
        assert len(other.served) == 1
        assert TOKEN not in str(other.served)
    assert {asked.headers.get("authorization") for asked in world.server.served} == {f"Bearer {TOKEN}"}


def behind(world: World) -> None:
    """The API's clock is an hour behind, and its Date says so."""
    said = format_datetime(datetime.now(UTC) - timedelta(hours=1), usegmt=True)
    answer = world.api.answer

    def dated(asked: Asked) -> Reply:
        found = answer(asked)
        reply = found if isinstance(found, Reply) else Reply(found)
        return reply._replace(headers={**reply.headers, "Date": said})

    world.server.routes["/items"] = world.server.routes["/items/*"] = dated
    state = SourceIncrementalState(last_run=BEGIN, run_started_at=BEGIN + timedelta(days=30))
    source = {**world.source(), "sync_mode": "incremental"}
    assert [each.id for each in records_of(source, state, restarts=False)] == ALL
    assert world.log().count("s behind: changes may be in the window of no run") == 1


def minutes(world: World) -> None:
    """The API cuts the times of changes to minutes. Windows that meet at one share no record, and lose none."""
    moments = [BEGIN + timedelta(minutes=number // 3) for number in range(COUNT)]
    world.api.records = [{"id": number, "updated_at": moment.isoformat()} for number, moment in enumerate(moments, 1)]
    found = []
    for minute in range(3):
        since = BEGIN + timedelta(minutes=minute)
        found += world.ids(SourceIncrementalState(last_run=since, run_started_at=since + timedelta(minutes=1)))
    assert found == ALL


FAULTS = {
    fault.__name__: fault
    for fault in (
        *(seconds, date, unavailable, cut, truncated, stuck, circle, capped, capped_windows, cut_off, html, refused),
        *(redirected, behind, minutes),
    )
}
CANNOT_BE = {
    ("none", "stuck"): "one request is the whole list: no page has to advance",
    ("none", "circle"): "one request is the whole list: nothing follows it",
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("style", STYLES, ids=str)
def test_a_fault_of_the_server(api: RestStandIn, log_text: Callable[[], str], style: Style, fault: str) -> None:
    world = World(api, style)
    world.log = log_text
    if (style.type, fault) in CANNOT_BE:
        assert world.ids() == ALL
        assert len(api.served) == 1
        return
    FAULTS[fault](world)


def test_every_style_and_place_of_the_configuration_is_in_the_table() -> None:
    """A style or a place that the dialect gets later has to be added."""
    types = {get_args(each.model_fields["type"].annotation)[0] for each in get_args(get_args(Pages)[0])}
    assert {style.type for style in STYLES} - {"graphql"} == types
    assert {style.where for style in STYLES if style.type == "cursor"} == set(get_args(Placement))
