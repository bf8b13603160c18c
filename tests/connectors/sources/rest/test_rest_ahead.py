"""Pages that are asked for before their turn, and the rate limit that they share."""

import threading
from contextlib import closing

import pytest
from connectors.sources.rest.conftest import block, ids, opened
from standins.rest.server import Reply, by_cursor, by_offset, by_page, items

from bizon.common.errors.errors import SourceFetchError, StoppedError
from bizon.common.waiting import ends_with
from bizon.source.pace import EvenPace

MANY = [str(number) for number in range(1, 41)]
PAGE = {"pages": {"type": "page", "param": "page"}}
OFFSET = {"pages": {"type": "offset", "param": "offset", "size_param": "limit", "size": 4}}
FOUR = {"concurrency": 4, "retries": {"backoff_factor": 0, "total": 1}}


@pytest.mark.parametrize(("style", "endpoint"), [(by_page, PAGE), (by_offset, OFFSET)])
def test_pages_come_in_order_although_they_arrive_in_another(api, style, endpoint):
    together = threading.Barrier(4)

    def answer(asked):
        if asked.params.get("page") in ("2", "3", "4", "5") or asked.params.get("offset") in ("4", "8", "12", "16"):
            together.wait(timeout=30)  # none of the four is answered before all four were asked for
        return style(items(40), asked)

    api.routes["/items"] = answer
    assert ids(block(api, endpoint, http=FOUR), restarts=False) == MANY


def test_a_list_of_one_page_costs_one_request(api):
    api.routes["/items"] = lambda asked: by_page(items(2), asked)
    endpoint = {"pages": {**PAGE["pages"], "more": "total > `2`"}}
    assert ids(block(api, endpoint, http=FOUR), restarts=False) == ["1", "2"]
    assert len(api.served) == 1


def test_a_style_whose_next_page_only_the_answer_knows_is_read_one_by_one(api):
    api.routes["/items"] = lambda asked: by_cursor(items(40), asked)
    endpoint = {"records": "data.items", "pages": {"type": "cursor", "param": "cursor", "next": "meta.next"}}
    assert ids(block(api, endpoint, http=FOUR), restarts=False) == MANY
    assert [int(asked.params.get("cursor", 0)) for asked in api.served] == list(range(0, 40, 2))


def test_an_error_beyond_the_end_is_nobodys(api):
    api.routes["/items"] = lambda asked: (
        by_page(items(7), asked) if int(asked.params["page"]) < 6 else Reply({"message": "no such page"}, 404)
    )
    assert ids(block(api, PAGE, http=FOUR), restarts=False) == [str(number) for number in range(1, 8)]


def test_an_error_ends_the_run_when_its_turn_comes(api):
    api.routes["/items"] = lambda asked: by_page(items(40), asked) if asked.params["page"] != "4" else {"error": "no"}
    with closing(opened(block(api, PAGE, http=FOUR))) as source:
        page = source.get({})
        for _ in range(2):
            page = source.get(page.next_pagination)
        assert [each.id for each in page.records] == ["5", "6"]
        with pytest.raises(SourceFetchError, match="no list at 'items'"):
            source.get(page.next_pagination)


def test_a_source_that_is_closed_leaves_no_request_waiting(api):
    """A thread slept for an hour until its next attempt, and the process could not end."""
    api.routes["/items"] = lambda asked: (
        by_page(items(40), asked) if int(asked.params["page"]) < 4 else Reply({}, 503, {"Retry-After": "3600"})
    )
    http = {"concurrency": 4, "retries": {"retry_after_max": None}}
    source = opened(block(api, PAGE, http=http))
    source.get(source.get({}).next_pagination)
    threads = [each for each in threading.enumerate() if each.name.startswith("bizon-ahead")]
    assert threads
    source.close()
    for each in threads:
        each.join(timeout=30)
        assert not each.is_alive()


def test_a_run_that_must_end_ends_the_waits_of_all_threads(api):
    stop = threading.Event()
    api.routes["/items"] = lambda asked: (
        by_page(items(40), asked)
        if int(asked.params["page"]) < 3
        else stop.set() or Reply({}, 503, {"Retry-After": "9"})
    )
    with ends_with(stop), closing(opened(block(api, PAGE, http={"concurrency": 2}))) as source:
        second = source.get({}).next_pagination
        third = source.get(second).next_pagination
        with pytest.raises(StoppedError):
            source.get(third)


def test_every_attempt_keeps_the_pace(api, monkeypatch):
    waits: list[int] = []
    monkeypatch.setattr(EvenPace, "wait", lambda self, sign: waits.append(1))
    api.routes["/items"] = lambda asked: by_page(items(4), asked)
    failing = [Reply({}, 503)]
    api.before = lambda asked: failing.pop() if failing else None
    assert ids(block(api, PAGE, http={"rate": 1, "retries": {"backoff_factor": 0}})) == ["1", "2", "3", "4"]
    assert len(waits) == len(api.served) == 4
