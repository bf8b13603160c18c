"""A start that was frozen thaws when another has taken over: it destroys nothing of the other's, and publishes nothing.

The starts share a state, like all starts of a pipeline. The other start acts between two steps of the frozen one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from connectors.destinations.bigquery import test_bigquery_faults as loads
from connectors.destinations.bigquery_streaming_v2 import test_v2 as v2
from destinations import open_destination, publish, resumed, rows_of, write

from bizon.common.errors.errors import OvertakenError
from bizon.connectors.destinations.bigquery.src import claim, finals, staged_destination
from bizon.destination.models import ResumePoint

if TYPE_CHECKING:
    from collections.abc import Callable

    from bigquery import Warehouse

    Configure = Callable[..., Any]

STAGED = pytest.mark.parametrize("config_of", [loads.config_of, v2.config_of], ids=["bigquery", "v2"])
MODES = pytest.mark.parametrize("mode", ["full_refresh", "incremental"])
OLD, NEW = "old", "new"
"""Two jobs, of which the second was created later."""


@contextmanager
def start(config: Any, mode: str, job: str = OLD) -> Iterator[Any]:
    """A start whose state knows both jobs."""
    with open_destination(config, mode, id_of(config, job)) as destination:
        destination._knows = lambda job_id: job_id in (id_of(config, OLD), id_of(config, NEW))  # type: ignore[attr-defined]
        yield destination


def id_of(config: Any, job: str) -> str:
    """Different in each test: BigQuery remembers jobs."""
    return f"{job}-{config.config.dataset_id[-20:].replace('_', '')}"


def fresh(config: Any, job: str, epoch: int = 1) -> ResumePoint:
    return ResumePoint(id_of(config, job), epoch=epoch, job_created_us=1 if job == OLD else 2)


def page(number: int) -> Any:
    return rows_of([{"n": number}], first=number)


def at(destination: Any, number: int) -> Any:
    """Write page ``number``, which has the record of this number."""
    destination.batch = type(destination.batch)(number, number)
    return write(destination, page(number))


def ids(warehouse: "Warehouse") -> list[str]:
    return sorted(row["_source_record_id"] for row in warehouse.rows("items"))


@STAGED
@MODES
def test_before_prepare(warehouse: "Warehouse", config_of: "Configure", mode: str) -> None:
    config = config_of(warehouse)
    with start(config, mode) as frozen, start(config, mode) as taker:
        taker.prepare(fresh(config, OLD, 2))
        zero = at(taker, 0)
        with pytest.raises(OvertakenError):
            frozen.prepare(fresh(config, OLD, 1))
        publish(taker, zero, at(taker, 1))
    assert ids(warehouse) == ["0", "1"]
    assert warehouse.tables() == ["items"]


@STAGED
@MODES
def test_before_prepare_of_an_abandoned_job(warehouse: "Warehouse", config_of: "Configure", mode: str) -> None:
    config = config_of(warehouse)
    with start(config, mode) as frozen, start(config, mode, NEW) as taker:
        taker.prepare(fresh(config, NEW))
        zero = at(taker, 0)
        with pytest.raises(OvertakenError):
            frozen.prepare(fresh(config, OLD, 7))
        publish(taker, zero)
    assert ids(warehouse) == ["0"]
    assert warehouse.objects() == []


@STAGED
@MODES
def test_between_claiming_staging_and_clearing_it(
    warehouse: "Warehouse", config_of: "Configure", mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has seen that staging is its own; the rows that it was about to remove now belong to the other start."""
    config = config_of(warehouse)
    with start(config, mode) as left:
        left.prepare(fresh(config, OLD))
        at(left, 0)
    with start(config, mode) as frozen, start(config, mode) as taker:
        batches: list[Any] = []
        inner = claim.StagingClaim.take

        def thaws_later(self: Any, *args: Any) -> None:
            inner(self, *args)
            monkeypatch.undo()
            taker.prepare(fresh(config, OLD, 3))
            batches.append(at(taker, 0))

        monkeypatch.setattr(claim.StagingClaim, "take", thaws_later)
        with pytest.raises(OvertakenError):
            frozen.prepare(fresh(config, OLD, 2))
        assert not frozen._staging._claim.is_new
        publish(taker, *batches, at(taker, 1))
    assert ids(warehouse) == ["0", "1"]


@STAGED
@MODES
@pytest.mark.parametrize("job", [OLD, NEW], ids=["same job", "next job"])
def test_between_verifying_and_publishing(
    warehouse: "Warehouse", config_of: "Configure", mode: str, job: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The statement that publishes compares the fence itself: it comes from a start that is superseded."""
    config = config_of(warehouse)
    with start(config, mode) as frozen, start(config, mode, job) as taker:
        frozen.prepare(fresh(config, OLD))
        old = at(frozen, 0)
        frozen.verify([old])
        inner = staged_destination.publishing
        taken: list[Any] = []

        def thaws_later(*args: Any, **how: Any) -> str:
            monkeypatch.undo()
            taker.prepare(resumed(id_of(config, OLD), old, job_created_us=1) if job == OLD else fresh(config, NEW))
            taken.append(at(taker, 1) if job == OLD else at(taker, 0))
            return inner(*args, **how)

        monkeypatch.setattr(staged_destination, "publishing", thaws_later)
        with pytest.raises(OvertakenError):
            frozen.finalize()
        assert ids(warehouse) == []
        publish(taker, *([old] if job == OLD else []), *taken)
    assert ids(warehouse) == (["0", "1"] if job == OLD else ["0"])
    assert warehouse.tables() == ["items"]
    assert warehouse.objects() == []


@STAGED
@MODES
def test_between_publishing_and_removing(
    warehouse: "Warehouse", config_of: "Configure", mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next start has finished the job, and the next job is running: it keeps its staging and its mark."""
    config = config_of(warehouse)
    with start(config, mode) as frozen, start(config, mode) as second, start(config, mode, NEW) as next_job:
        frozen.prepare(fresh(config, OLD))
        zero = at(frozen, 0)
        frozen.verify([zero])
        inner, waiting = finals.FinalTables.mark, []

        def thaws_later(self: Any, *args: Any) -> None:
            monkeypatch.undo()
            second.prepare(resumed(id_of(config, OLD), zero, exhausted=True, job_created_us=1))
            publish(second, zero)
            next_job.prepare(fresh(config, NEW))
            waiting.append(at(next_job, 1))
            inner(self, *args)

        monkeypatch.setattr(finals.FinalTables, "mark", thaws_later)
        with pytest.raises(OvertakenError):
            frozen.finalize()
        publish(next_job, *waiting)
        assert next_job.output().published_by == id_of(config, NEW)
    assert ids(warehouse) == (["1"] if mode == "full_refresh" else ["0", "1"])


def test_rows_that_a_superseded_start_loads_after_the_count(
    warehouse: "Warehouse", monkeypatch: pytest.MonkeyPatch
) -> None:
    """The staging of ``bigquery`` has no marks: the statement that publishes counts rows that came since."""
    config = loads.config_of(warehouse)
    with start(config, "incremental") as frozen, start(config, "incremental") as taker:
        frozen.prepare(fresh(config, OLD))
        zero = at(frozen, 0)
        taker.prepare(resumed(id_of(config, OLD), zero, job_created_us=1))
        taker.verify([zero])
        at(frozen, 1)
        with pytest.raises(Exception, match="staging was changed since it was verified"):
            taker.finalize()
        assert ids(warehouse) == []
        publish(taker, zero)
    assert ids(warehouse) == ["0"]


def test_a_stream_that_starts_late_removes_no_object_of_the_later_start(warehouse: "Warehouse") -> None:
    config = loads.config_of(warehouse)
    with start(config, "stream") as frozen, start(config, "stream") as taker:
        taker.prepare(fresh(config, OLD, 2))
        inner = taker._loads.load

        def thaws_now(*args: Any) -> None:
            frozen.prepare(fresh(config, OLD, 1))
            inner(*args)

        taker._loads.load = thaws_now
        at(taker, 0)
    assert ids(warehouse) == ["0"]
