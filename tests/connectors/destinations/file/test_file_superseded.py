"""A start that wakes up after another has taken over changes nothing, whatever it was about to do."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from connectors.destinations.file.file_runs import Job, bury, ids_in, rows_of

from bizon.common.errors.errors import FinalizeError, OvertakenError
from bizon.connectors.destinations.file.src import journal as journal_module
from bizon.connectors.destinations.file.src.journal import Journal
from bizon.connectors.destinations.file.src.output import Output

FORMATS = pytest.mark.parametrize("format", ["json", "parquet"])
STAGED = pytest.mark.parametrize("sync_mode", ["full_refresh", "incremental"])
_MOST_STEPS = 20


class Frozen:
    """A start that is frozen just before its n-th step under the lock, from 0, while another works."""

    def __init__(self, step: int, meanwhile: Callable[[], object]) -> None:
        self.step, self.meanwhile = step, meanwhile
        self.steps, self.is_awake, self.was_frozen = 0, False, False

    @contextmanager
    def __call__(self) -> Iterator[None]:
        real, frozen = Output._locked, self

        @contextmanager
        def locked(output: Output) -> Iterator[None]:
            if not frozen.is_awake:
                if frozen.steps == frozen.step:
                    frozen.is_awake = frozen.was_frozen = True
                    frozen.meanwhile()
                frozen.steps += 1
            with real(output):
                yield

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Output, "_locked", locked)
            yield


def each_step(work: Callable[[Callable[[], object]], Callable[[], None]], expects: int) -> None:
    """Freeze before one step after the other. ``work`` makes a folder ready and gives what the frozen start does, what
    the other does meanwhile, and what has to be true in the end."""
    for step in range(_MOST_STEPS):
        bury()
        frozen = Frozen(step, lambda: None)
        act, frozen.meanwhile, check = work(step)  # type: ignore[arg-type,misc]
        with frozen():
            try:
                act()
                stopped = False
            except (OvertakenError, FinalizeError):
                stopped = True
        assert stopped == frozen.was_frozen, f"step {step}: a superseded start went on"
        if not frozen.was_frozen:
            break
        check()
    assert step == expects, f"{step} steps are fenced"


def here(step: int) -> str:
    return f"step{step}/out"


def old_job(sync_mode: str, format: str, place: str) -> list[str]:
    Job("job1", sync_mode, config={"format": format, "destination_id": place}).run([["old"]]).close()
    return ["old"] if sync_mode == "incremental" else []


@pytest.mark.parametrize("rows_before", [False, True], ids=["fresh", "resumed"])
@FORMATS
@STAGED
def test_a_late_start_destroys_nothing_of_the_next_one(sync_mode: str, format: str, rows_before: bool) -> None:
    """Committed rows used to be removed by it: the pipeline was stuck."""

    def work(step: int) -> tuple[Callable[[], object], ...]:
        old = old_job(sync_mode, format, here(step))
        job = Job("job2", sync_mode, config={"format": format, "destination_id": here(step)})
        first = int(rows_before)
        if rows_before:
            job.add(job.prepared(), 0, "0")
        late, point = job.open(), job.next_start()
        assert late.check_connection()

        def other() -> None:
            job.add(job.prepared(), first, "a")

        def check() -> None:
            job.add(job.destination, first + 1, "b")
            job.publish(job.destination)
            assert ids_in(Path(f"{here(step)}.{format}")) == [*old, *["0"][: int(rows_before)], "a", "b"]

        return lambda: late.prepare(point), other, check

    each_step(work, expects=2)  # type: ignore[arg-type]


@FORMATS
@STAGED
def test_an_older_job_that_prepares_late_destroys_nothing_of_a_newer_one(sync_mode: str, format: str) -> None:
    def work(step: int) -> tuple[Callable[[], object], ...]:
        config = {"format": format, "destination_id": here(step)}
        older, newer = Job("job2", sync_mode, config=config), Job("job3", sync_mode, config=config)
        late, point = older.open(), older.next_start()
        assert late.check_connection()

        def other() -> None:
            newer.add(newer.prepared(), 0, "a")

        def check() -> None:
            newer.add(newer.destination, 1, "b")
            newer.publish(newer.destination)
            assert ids_in(Path(f"{here(step)}.{format}")) == ["a", "b"]

        return lambda: late.prepare(point), other, check

    each_step(work, expects=2)  # type: ignore[arg-type]


@pytest.mark.parametrize("meanwhile", ["prepares", "publishes"])
@FORMATS
@STAGED
def test_a_start_that_is_frozen_while_it_publishes_leaves_it_to_the_next(
    sync_mode: str, format: str, meanwhile: str
) -> None:
    def work(step: int) -> tuple[Callable[[], object], ...]:
        old = old_job(sync_mode, format, here(step))
        job = Job("job2", sync_mode, config={"format": format, "destination_id": here(step)})
        late = job.prepared()
        job.add(late, 0, "a")
        job.add(late, 1, "b")
        job.exhausted = True

        def other() -> None:
            job.prepared()
            if meanwhile == "publishes":
                job.publish(job.destination)

        def check() -> None:
            job.publish(job.destination)
            assert ids_in(Path(f"{here(step)}.{format}")) == [*old, "a", "b"]

        return lambda: job.publish(late), other, check

    each_step(work, expects=3)  # type: ignore[arg-type]


@FORMATS
def test_a_stream_that_starts_late_truncates_nothing(format: str) -> None:
    """Committed rows used to be gone for good."""

    def work(step: int) -> tuple[Callable[[], object], ...]:
        job = Job("job2", "stream", config={"format": format, "destination_id": here(step)})
        job.add(job.prepared(), 0, "0")
        late, point = job.open(), job.next_start()

        def other() -> None:
            job.add(job.prepared(), 1, "a")

        def check() -> None:
            job.add(job.destination, 2, "b")
            assert ids_in(Path(f"{here(step)}.{format}")) == ["0", "a", "b"]

        return lambda: late.prepare(point), other, check

    each_step(work, expects=3)  # type: ignore[arg-type]


@FORMATS
def test_a_stream_that_is_frozen_before_it_appends_appends_nothing(format: str) -> None:
    def work(step: int) -> tuple[Callable[[], object], ...]:
        job = Job("job2", "stream", config={"format": format, "destination_id": here(step)})
        late = job.prepared()
        job.add(late, 0, "0")

        def other() -> None:
            job.add(job.prepared(), 1, "a")

        def check() -> None:
            with pytest.raises(OvertakenError):
                job.write(late, 2, 2, rows_of("stray"))
            job.add(job.destination, 2, "b")
            assert ids_in(Path(f"{here(step)}.{format}")) == ["0", "a", "b"]

        return lambda: job.write(late, 1, 1, rows_of("stray")), other, check

    each_step(work, expects=1)  # type: ignore[arg-type]


def test_rows_written_through_a_handle_from_before_the_takeover_do_not_reach_the_file() -> None:
    job = Job("job2", "stream")
    late = job.prepared()
    job.add(late, 0, "0")
    real = Journal._extend

    def extend(journal: Journal, handle: object, size: int, write: object) -> None:
        with pytest.MonkeyPatch.context() as thawed:
            thawed.setattr(Journal, "_extend", real)
            job.add(job.prepared(), 1, "a")
        real(journal, handle, size, write)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as frozen:
        frozen.setattr(Journal, "_extend", extend)
        job.write(late, 1, 1, rows_of("stray"))
    assert ids_in(Path("out.json")) == ["0", "a"]
    job.add(job.destination, 2, "b")
    job.write(job.destination, 3, 3, rows_of("no checkpoint"))
    job.prepared()
    assert ids_in(Path("out.json")) == ["0", "a", "b"], "the journal belongs to the start that took over"


def test_entries_written_through_a_handle_from_before_the_takeover_do_not_reach_the_journal() -> None:
    job = Job("job2", "stream")
    late = job.prepared()
    job.add(late, 0, "0")
    real = Journal._note

    def note(journal: Journal, handle: object, append: object) -> None:
        with pytest.MonkeyPatch.context() as thawed:
            thawed.setattr(Journal, "_note", real)
            job.add(job.prepared(), 1, "a")
            job.write(job.destination, 2, 2, rows_of("no checkpoint"))
        real(journal, handle, append)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as frozen:
        frozen.setattr(Journal, "_note", note)
        job.write(late, 1, 1, rows_of("stray"))
    job.prepared()
    assert ids_in(Path("out.json")) == ["0", "a"]


def test_a_superseded_stream_does_not_shorten_the_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "_MOST_LINES", 2)
    monkeypatch.setattr(journal_module, "_KEPT_LINES", 1)
    job = Job("job2", "stream")
    late = job.prepared()
    for page in range(2):
        job.add(late, page, str(page))
    frozen = Frozen(1, lambda: job.write(job.prepared(), 2, 2, rows_of("no checkpoint")))
    with frozen(), pytest.raises(OvertakenError):
        job.write(late, 2, 2, rows_of("stray"))
    assert frozen.was_frozen
    job.prepared()
    assert ids_in(Path("out.json")) == ["0", "1"]
