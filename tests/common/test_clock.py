"""Wall-clock time, and moments at which it stands still."""

from datetime import UTC, datetime

from bizon.common.clock import fixed_at, utc_now


def test_the_clock_stands_still_within_and_goes_on_after() -> None:
    moment = datetime(2024, 5, 1, tzinfo=UTC)
    with fixed_at(moment):
        assert utc_now() == moment
        assert utc_now() == moment
    assert utc_now() > moment
