"""Several load jobs at the same time: as many as may be, and recorded in order.

The client is a stand-in: of two load jobs at the same time the emulator fails one, now and then.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from stops import error_when_stopped

from bizon.common.errors.errors import DestinationWriteError, StoppedError
from bizon.common.waiting import rest
from bizon.connectors.destinations.bigquery.src.background_loads import BackgroundLoads
from bizon.connectors.destinations.bigquery.src.parts import Part
from bizon.connectors.destinations.bigquery.src.tables import Target

WAIT = 30  # seconds
TARGET = Target("p.d.items_temp", [], None)


class Loads:
    """Each load starts on request and ends when the test says so."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._ended: dict[int, Exception | None] = {}
        self.begun: list[list[int]] = []

    def load(self, parts: Sequence[Part], _target: Target, _label: str) -> None:
        with self._changed:
            self.begun.append([part.first for part in parts])
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: parts[0].first in self._ended, WAIT)
            error = self._ended[parts[0].first]
        if error is not None:
            raise error

    def end(self, *firsts: int, error: Exception | None = None) -> None:
        """Loads that begin with these pages end."""
        with self._changed:
            self._ended |= dict.fromkeys(firsts, error)
            self._changed.notify_all()

    def wait_for(self, count: int) -> None:
        """Wait until this many loads have begun."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.begun) >= count, WAIT)


@pytest.fixture
def loads() -> Loads:
    return Loads()


@pytest.fixture
def background(loads: Any) -> Iterator[BackgroundLoads]:
    """Three loads at a time, of two objects each."""
    made = BackgroundLoads(loads, lambda: TARGET, per_job=2, at_once=3)
    yield made
    made.close()


def part(page: int) -> Part:
    return Part(page, page, 1, page, "mark", "parquet", f"{page}.parquet")


def test_as_many_loads_as_allowed_run_at_a_time(loads: Loads, background: BackgroundLoads) -> None:
    for page in range(6):
        background.add(part(page))
    loads.wait_for(3)
    adding = threading.Thread(target=lambda: [background.add(part(page)) for page in (6, 7)])
    adding.start()
    adding.join(0.05)
    assert adding.is_alive()
    assert sorted(loads.begun) == [[0, 1], [2, 3], [4, 5]]
    loads.end(0)
    adding.join(WAIT)
    loads.wait_for(4)
    assert loads.begun[3] == [6, 7]
    loads.end(2, 4, 6)
    assert background.landed(wait=True) == 7


def test_a_load_counts_only_when_all_before_it_have_landed(loads: Loads, background: BackgroundLoads) -> None:
    for page in range(6):
        background.add(part(page))
    loads.end(2, 4)
    loads.wait_for(3)
    assert background.landed(wait=False) == -1
    loads.end(0)
    assert background.landed(wait=True) == 5


def test_rows_too_few_for_a_load_are_loaded_at_the_end(loads: Loads, background: BackgroundLoads) -> None:
    for page in range(3):
        background.add(part(page))
    loads.end(0, 2)
    assert background.landed(wait=True) == 2
    assert sorted(loads.begun) == [[0, 1], [2]]


def test_a_load_that_fails_holds_back_all_behind_it(loads: Loads, background: BackgroundLoads) -> None:
    for page in range(6):
        background.add(part(page))
    loads.end(0, 4)
    loads.end(2, error=DestinationWriteError("no such column"))
    loads.wait_for(3)
    for wait in (True, False):
        with pytest.raises(DestinationWriteError, match="no such column"):
            background.landed(wait=wait)


def test_a_load_in_the_background_ends_with_the_run(wait_for: Callable[[Callable[[], bool]], None]) -> None:
    """It did not see the stop flag: the process waited for it after the run had ended."""
    began = threading.Event()

    class Waiting(Loads):
        def load(self, *_: Any) -> None:
            began.set()
            rest(600)

    def work() -> None:
        made = BackgroundLoads(Waiting(), lambda: TARGET, per_job=1, at_once=1)  # type: ignore[arg-type]
        made.add(part(0))
        made.landed(wait=True)

    assert isinstance(error_when_stopped(work, lambda: wait_for(began.is_set)), StoppedError)
