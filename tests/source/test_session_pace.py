"""The pace of a session: one rate limit for all its threads."""

import threading
from collections.abc import Iterator

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from bizon.common.errors.errors import StoppedError
from bizon.common.waiting import StopSign, ends_with
from bizon.source.config import HttpRetriesConfig
from bizon.source.retries import shared_pace
from bizon.source.session import Session


class Pace:
    """Notes its calls."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def wait(self, sign: StopSign | None) -> None:
        self.calls.append("wait")
        if sign is not None and sign.is_set():
            raise StoppedError

    def hold(self, seconds: float) -> None:
        self.calls.append(f"hold {seconds:g}")


@pytest.fixture
def pace() -> Pace:
    return Pace()


def session_with(pace: Pace) -> Session:
    retries = HttpRetriesConfig(total=3, backoff_factor=0, status_forcelist=(429, 503, 529))
    session = Session(retries=retries)
    session.keep_pace(pace)
    return session


def answers(httpserver: HTTPServer, *each: tuple[int, dict[str, str]]) -> None:
    left: Iterator[tuple[int, dict[str, str]]] = iter([*each, (200, {})])

    def answer(_request: Request) -> Response:
        status, headers = next(left)
        return Response("{}", status, headers)

    httpserver.expect_request("/").respond_with_handler(answer)


def test_every_attempt_waits_for_its_turn(httpserver: HTTPServer, pace: Pace) -> None:
    answers(httpserver, (503, {}), (503, {}))
    session_with(pace).get(httpserver.url_for("/"))
    assert pace.calls == ["wait"] * 3


def test_a_refusal_for_the_rate_or_with_a_wait_holds_everybody(httpserver: HTTPServer, pace: Pace) -> None:
    answers(httpserver, (429, {}), (529, {}), (503, {"Retry-After": "0"}))
    session_with(pace).get(httpserver.url_for("/"))
    assert pace.calls == ["wait", "hold 0"] * 3 + ["wait"]


def test_waiting_ends_with_the_run(httpserver: HTTPServer, pace: Pace) -> None:
    stop = threading.Event()
    with ends_with(stop):
        session = session_with(pace)
    stop.set()
    with pytest.raises(StoppedError):
        session.get(httpserver.url_for("/"))
    assert not httpserver.log


def test_sources_with_the_same_limit_share_a_pace_as_long_as_one_of_them_uses_it() -> None:
    first = shared_pace(Pace, "https://api", 5)
    first.hold(1)
    assert shared_pace(Pace, "https://api", 5) is first
    assert shared_pace(Pace, "https://api", 6) is not first
    del first
    assert shared_pace(Pace, "https://api", 5).calls == []
