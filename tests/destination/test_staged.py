"""The protocol of destinations that stage: the order of its steps, and what a superseded start must not do."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from fakes import sync_metadata

from bizon.common.errors.errors import DestinationError, FinalizeError, OvertakenError
from bizon.destination.config import AbstractDestinationDetailsConfig
from bizon.destination.models import CommittedBatch, ResumePoint, WriteMode
from bizon.destination.receipts import differs, parts_that_count
from bizon.destination.staged import StagedDestination

BATCHES = (CommittedBatch(0, 1, 5, {"part": "a"}), CommittedBatch(2, 2, 0), CommittedBatch(3, 3, 2, {"part": "b"}))


class Stage:
    """Staging that records its calls."""

    def __init__(self, calls: list[str]) -> None:
        self.calls = calls

    def receipt(self) -> Mapping[str, Any]:
        return {"part": "a"}

    def verify(self, committed: Sequence[CommittedBatch]) -> None:
        self.calls.append(f"verify {len(committed)}")


class Noted(StagedDestination):
    """Notes each primitive. ``superseded``: another start has claimed the output."""

    def __init__(self, sync_mode: str = "full_refresh", *, replaces: bool = False) -> None:
        sync = sync_metadata(sync_mode, replaces=replaces)
        nothing: Any = None
        super().__init__(sync, AbstractDestinationDetailsConfig(), nothing, nothing, nothing)
        self.calls: list[str] = []
        self.published = self.superseded = self.has_own_rows = False
        self.fails_at = ""
        self._staging = Stage(self.calls)

    def note(self, name: str) -> None:
        self.calls.append(name)
        if name == self.fails_at:
            raise DestinationError(f"{name} failed")

    def check_connection(self) -> bool:
        return True

    def write_records(self, df_destination_records: Any) -> tuple[bool, str | None]:
        return True, None

    @property
    def _place(self) -> str:
        return "out"

    def _prepare_in_place(self, resume: ResumePoint) -> None:
        self.note("prepare in place")

    def _open(self, resume: ResumePoint) -> None:
        self.note("open")

    def _has_own_rows(self) -> bool:
        return self.has_own_rows

    def _take_over(self, resume: ResumePoint) -> None:
        self.note("take over")

    def _take_part(self, resume: ResumePoint) -> None:
        self.note(f"take part {resume.partition}")

    def _is_published(self) -> bool:
        return self.published

    @contextmanager
    def _fenced(self) -> Iterator[None]:
        if self.superseded:
            raise OvertakenError("job")
        self.calls.append("(")
        yield
        self.calls.append(")")

    def _trim(self, resume: ResumePoint) -> None:
        self.note("trim")

    def _publish(self, mode: WriteMode) -> None:
        self.note(f"publish {mode}")
        self.published = True

    def _note_published(self) -> None:
        self.note("note")

    def _discard(self) -> None:
        self.note("discard")


def test_a_start_claims_before_it_trims_and_trims_within_the_fence() -> None:
    destination = Noted()
    destination.prepare(ResumePoint("job"))
    assert destination.calls == ["open", "take over", "(", "trim", ")"]


def test_a_worker_claims_its_part_and_leaves_the_output_alone() -> None:
    destination = Noted("incremental")
    destination.published = True
    destination.prepare(ResumePoint("job", partition=3, exhausted=True))
    assert destination.calls == ["open", "take part 3", "(", "trim", ")"]


def test_a_worker_does_not_append_again_when_its_state_was_lost() -> None:
    destination = Noted("incremental")
    destination.has_own_rows = True
    with pytest.raises(DestinationError, match="knows of no run"):
        destination.prepare(ResumePoint("job", partition=0, has_history=False))
    assert destination.calls == ["open"]


def test_a_publisher_of_parts_claims_the_output_and_trims_nothing() -> None:
    destination = Noted()
    destination.prepare(ResumePoint("job", parts=2, exhausted=True))
    assert destination.calls == ["open", "take over"]


def test_a_destination_without_parts_says_so() -> None:
    class Plain(Noted):
        _take_part = StagedDestination._take_part

    assert Plain.single_writer
    with pytest.raises(DestinationError, match="'out' takes no parts of a job: run without --join"):
        Plain().prepare(ResumePoint("job", partition=0))


def test_the_workers_of_a_job_claim_the_output_alike_and_before_its_publisher() -> None:
    first, second = (ResumePoint("job", partition=part, epoch=part + 7, job_created_us=5).of_job for part in (0, 1))
    assert (first.fence, first.partition) == (second.fence, second.partition) == ((5, 0), None)
    publisher = ResumePoint("job", parts=2, job_created_us=5)
    assert publisher.of_job is publisher
    assert publisher.fence > first.fence


def test_committed_batches_are_verified_in_staging_which_gives_the_receipts() -> None:
    destination = Noted()
    destination.verify(BATCHES)
    assert destination.calls == ["verify 3"]
    assert destination.receipt() == {"part": "a"}
    assert Noted("stream").receipt() is None


def test_a_superseded_start_trims_nothing() -> None:
    destination = Noted()
    destination.superseded = True
    with pytest.raises(OvertakenError):
        destination.prepare(ResumePoint("job"))
    assert destination.calls == ["open", "take over"]


def test_a_job_that_is_published_already_keeps_its_staging_and_only_discards_it() -> None:
    destination = Noted()
    destination.published = True
    destination.prepare(ResumePoint("job", last_iteration=3, exhausted=True))
    assert destination.calls == ["open", "take over"]
    destination.verify(BATCHES)
    assert destination.finalize() is True
    assert destination.calls[2:] == ["(", "note", "discard", ")"]


@pytest.mark.parametrize(
    ("sync_mode", "replaces", "mode"),
    [("full_refresh", False, "replace"), ("incremental", False, "append"), ("incremental", True, "replace")],
)
def test_a_job_is_published_once_however_often_it_is_finalized(sync_mode: str, replaces: bool, mode: str) -> None:
    destination = Noted(sync_mode, replaces=replaces)
    destination.finalize()
    destination.finalize()
    after = ["(", "note", "discard", ")"]
    assert destination.calls == [f"publish {mode}", *after, *after]


@pytest.mark.parametrize("step", ["publish replace", "note", "discard"])
def test_a_step_that_fails_can_be_run_again(step: str) -> None:
    destination = Noted()
    destination.fails_at = step
    with pytest.raises(FinalizeError, match=rf"'out' was not replaced: {step} failed; .*run again to publish"):
        destination.finalize()
    destination.fails_at = ""
    assert destination.finalize() is True
    assert destination.calls[-4:] == ["(", "note", "discard", ")"]


def test_a_failure_of_a_superseded_start_is_reported_as_such() -> None:
    destination = Noted()
    destination.fails_at, destination.superseded = "publish replace", True
    with pytest.raises(OvertakenError):
        destination.finalize()


@pytest.mark.parametrize(
    ("sync_mode", "resume", "is_refused"),
    [
        ("incremental", ResumePoint("job", has_history=False), True),
        ("incremental", ResumePoint("job", has_history=False, adopt=True), False),
        ("incremental", ResumePoint("job"), False),
        ("full_refresh", ResumePoint("job", has_history=False), False),
    ],
)
def test_an_output_whose_state_was_lost_is_not_appended_to(
    sync_mode: str, resume: ResumePoint, is_refused: bool
) -> None:
    destination = Noted(sync_mode)
    destination.has_own_rows = True
    if not is_refused:
        destination.prepare(resume)
        return
    with pytest.raises(
        DestinationError, match=r"'out' was written by pipeline 'pipe' \(scripted\.items\).*knows of no run"
    ):
        destination.prepare(resume)
    assert destination.calls == ["open"]


def test_in_sync_mode_stream_nothing_is_staged() -> None:
    destination = Noted("stream")
    destination.prepare(ResumePoint("job"))
    destination.verify(BATCHES)
    assert destination.finalize() is True
    assert destination.calls == ["prepare in place"]


def located(receipt: Mapping[str, Any]) -> str:
    return str(receipt["part"])


def test_the_parts_that_the_receipts_name_count() -> None:
    assert parts_that_count(BATCHES, located, "out") == [(BATCHES[0], "a"), (BATCHES[2], "b")]


@pytest.mark.parametrize("receipt", [None, {}, {"object": "of another destination"}])
def test_rows_without_a_part_are_refused(receipt: Mapping[str, Any] | None) -> None:
    foreign: Sequence[CommittedBatch] = [CommittedBatch(3, 4, 7, receipt)]
    with pytest.raises(DestinationError, match=r"pages 3-4 were not staged for 'out': .*--fresh"):
        parts_that_count(foreign, located, "out")


def test_a_batch_of_a_joined_job_names_its_part() -> None:
    error = differs(CommittedBatch(3, 4, 7, partition=2), "'a' is missing")
    assert "pages 3-4 of part 2 (7 rows): 'a' is missing" in str(error)


def test_a_part_that_differs_names_its_pages_and_rows() -> None:
    error = differs(CommittedBatch(3, 4, 7_000), "'a' is missing")
    assert str(error).startswith("staging does not hold what was committed: pages 3-4 (7,000 rows): 'a' is missing. ")
