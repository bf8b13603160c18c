"""A rate limit in requests per second."""

import pytest

from bizon.source.pace import EvenPace, pace_of


def test_a_rate_spaces_requests_out():
    now = [0.0]
    sleeps: list[float] = []

    def sleep(seconds: float) -> None:
        sleeps.append(seconds)
        now[0] += seconds

    pace = EvenPace(5, clock=lambda: now[0], sleep=sleep)
    for _ in range(11):
        pace.wait(None)
    assert now[0] == pytest.approx(2)
    pace.hold(10)
    pace.wait(None)
    assert now[0] == pytest.approx(12)


def test_sources_of_one_api_share_their_rate():
    one, same, other = pace_of("https://a", 5), pace_of("https://a", 5), pace_of("https://b", 5)
    assert one is same
    assert one is not other
