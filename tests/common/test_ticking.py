"""The thread that acts at an interval: it stops with its context, or when the action says so."""

from threading import Event

from bizon.common.ticking import Ticker


def test_it_repeats_until_its_context_is_left() -> None:
    calls, third = [], Event()

    def act() -> None:
        calls.append(len(calls))
        if len(calls) == 3:
            third.set()

    with Ticker(act, 0.001, name="test"):
        assert third.wait(5)
    seen = len(calls)
    Event().wait(0.02)
    assert len(calls) == seen


def test_the_action_may_stop_it() -> None:
    calls, called = [], Event()

    def act() -> None:
        calls.append(1)
        ticker.stop()
        called.set()

    ticker = Ticker(act, 0.001, name="test")
    with ticker:
        assert called.wait(5)
        Event().wait(0.02)
    assert calls == [1]


def test_nothing_is_called_before_the_first_interval_has_passed() -> None:
    calls: list[int] = []
    with Ticker(lambda: calls.append(1), 60, name="test"):
        pass
    assert calls == []
