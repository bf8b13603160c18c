"""A destination that continues while rows are in flight: a checkpoint waits until they have landed, in order."""

import pytest
from engine.pipeline.test_loader import Bench
from fakes import ListDestination

from bizon.common.errors.errors import DestinationWriteError


class Slow(ListDestination):
    """Rows have landed up to page ``arrived``; with ``wait`` all have, or ``lost`` is raised."""

    arrived = -1
    lost: Exception | None = None

    def landed(self, *, wait: bool) -> int:
        self.calls.append(f"landed, wait={wait}")
        if self.lost is not None:
            raise self.lost
        return self.batch.to_iteration if wait else self.arrived


@pytest.fixture
def bench() -> Bench:
    made = Bench()
    made.destination = made.loader.destination = Slow()
    return made


def test_nothing_is_recorded_before_it_has_landed(bench: Bench) -> None:
    bench.write(0, 0)
    bench.write(1, 2)
    assert (bench.committed(), bench.acks, bench.callback.written) == (None, [], [])
    bench.destination.arrived = 0
    bench.write(3, 3)
    assert (bench.committed(), bench.acks) == (0, [0])
    bench.destination.arrived = 2
    bench.loader.commit(wait=False)
    assert (bench.committed(), bench.acks) == (2, [0, 2])
    assert bench.progress.snapshot().records_written == 2


def test_the_end_waits_for_all_of_it(bench: Bench) -> None:
    bench.write(0, 0)
    bench.write(1, 1)
    bench.loader.commit(wait=True)
    assert (bench.committed(), bench.acks) == (1, [0, 1])


def test_nothing_is_published_before_all_has_landed(bench: Bench) -> None:
    bench.write(0, 0)
    bench.loader.publish()
    assert bench.destination.calls[-2:] == ["landed, wait=True", "finalize"]
    assert bench.committed() == 0


def test_pages_without_rows_wait_for_those_before_them(bench: Bench) -> None:
    bench.write(0, 0)
    bench.write(1, 1, rows=0)
    assert bench.committed() is None
    bench.destination.arrived = 0
    bench.loader.commit(wait=False)
    assert (bench.committed(), bench.acks) == (1, [0, 1])


def test_rows_that_did_not_land_are_not_recorded_and_nothing_is_published(bench: Bench) -> None:
    bench.write(0, 0)
    bench.destination.lost = DestinationWriteError("the load failed")
    with pytest.raises(DestinationWriteError, match="the load failed"):
        bench.loader.publish()
    assert bench.committed() is None
    assert "finalize" not in bench.destination.calls


def test_a_page_is_written_once_while_it_is_under_way(bench: Bench) -> None:
    bench.write(0, 0)
    bench.write(0, 0)
    assert bench.destination.calls.count("write table 0-0") == 1
    assert bench.acks == []
    bench.loader.commit(wait=True)
    bench.write(0, 0)
    assert bench.acks == [0, 0]
