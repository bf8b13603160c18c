"""Rows that cannot be delivered: the loader ends the run, skips them, or writes them as dead letters."""

import pytest
from engine.pipeline.test_loader import Bench, batch
from fakes import ListDestination

from bizon.common.errors.errors import DestinationWriteError, FinalizeError, RowsRejectedError
from bizon.common.on_error import OnError
from bizon.destination.dead_letters import DeadLetters
from bizon.engine.pipeline.models import Batch
from bizon.rows.rejects import Stage, reject


class Letters(ListDestination):
    """Takes dead letters; keeps whole rows."""

    def __init__(self) -> None:
        super().__init__()
        self.letters: list[dict[str, object]] = []

    def write_records(self, df_destination_records):  # type: ignore[no-untyped-def]
        self.letters += df_destination_records.to_dicts()
        return super().write_records(df_destination_records)


def refused_at_source(first: int, rows: int, *positions: int) -> Batch:
    good = batch(first, first, rows)
    return Batch(reject(good.frame, {n: f"row {n} says s3cr3t" for n in positions}, Stage.SOURCE), good.pages)


def bench_of(on_error: OnError) -> tuple[Bench, Letters]:
    letters = Letters()
    target = letters if on_error is OnError.DEAD_LETTER else None
    return Bench(dead_letters=DeadLetters(on_error, target, lambda text: text.replace("s3cr3t", "***"))), letters


def counts(bench: Bench) -> tuple[int, int, int]:
    """Committed rows, committed dead letters, rejected records of the run."""
    backend, job_id = bench.backend, bench.job_id
    written = backend.get_number_of_written_rows_for_job(job_id)
    assert bench.progress.snapshot().records_written == written
    letters = backend.get_number_of_dead_letters_for_job(job_id)
    return written, letters, bench.progress.snapshot().records_rejected


def test_refused_rows_become_dead_letters_with_their_reason_and_without_secrets() -> None:
    bench, letters = bench_of(OnError.DEAD_LETTER)
    bench.loader.write(refused_at_source(0, 4, 1, 3))
    assert bench.destination.rows == {"table": ["0", "2"]}
    assert [(row["source_record_id"], row["stage"], row["reason"]) for row in letters.letters] == [
        ("1", "source", "row 1 says ***"),
        ("3", "source", "row 3 says ***"),
    ]
    assert counts(bench) == (2, 2, 2)
    assert (letters.batch.from_iteration, letters.batch.to_iteration) == (0, 0)


def test_skipped_rows_are_counted_but_not_committed() -> None:
    bench, _ = bench_of(OnError.SKIP)
    bench.loader.write(refused_at_source(0, 4, 1, 3))
    assert counts(bench) == (2, 0, 2)


@pytest.mark.parametrize("on_error", [OnError.SKIP, OnError.DEAD_LETTER])
def test_a_page_of_which_nothing_is_left_is_recorded(on_error: OnError) -> None:
    bench, _ = bench_of(on_error)
    bench.loader.write(refused_at_source(0, 2, 0, 1))
    assert bench.destination.calls == []
    assert bench.committed() == 0
    assert counts(bench)[0] == 0


def test_rows_that_the_destination_refuses_are_left_out_of_the_next_try() -> None:
    bench, letters = bench_of(OnError.DEAD_LETTER)
    bench.destination.answers = [RowsRejectedError({0: "too long"}), RowsRejectedError({1: "too short"})]
    bench.write(0, 0, rows=4)
    assert bench.destination.rows == {"table": ["1", "3"]}
    assert [(row["source_record_id"], row["stage"], row["reason"]) for row in letters.letters] == [
        ("0", "destination", "too long"),
        ("2", "destination", "too short"),
    ]
    assert counts(bench) == (2, 2, 2)


def test_rows_that_the_destination_refuses_end_the_run_by_default() -> None:
    bench, _ = bench_of(OnError.FAIL)
    bench.destination.answers = [RowsRejectedError({0: "too long", 2: "too long"})]
    with pytest.raises(DestinationWriteError, match=r"pages 0-0 to 'table' failed.*: too long \(and 1 more rows\)"):
        bench.write(0, 0, rows=3)
    assert bench.committed() is None


def test_a_destination_that_names_rows_that_do_not_exist_ends_the_run() -> None:
    bench, _ = bench_of(OnError.SKIP)
    bench.destination.answers = [RowsRejectedError({7: "where is it?"})]
    with pytest.raises(DestinationWriteError, match="where is it"):
        bench.write(0, 0, rows=3)
    assert bench.committed() is None


def test_dead_letters_that_cannot_be_written_end_the_run_and_nothing_is_recorded() -> None:
    bench, letters = bench_of(OnError.DEAD_LETTER)
    letters.answers = [(False, "the disk is full")]
    with pytest.raises(DestinationWriteError, match="the disk is full"):
        bench.loader.write(refused_at_source(0, 2, 1))
    assert bench.committed() is None


def test_dead_letters_are_published_before_the_output_and_alone_do_not_count() -> None:
    bench, letters = bench_of(OnError.DEAD_LETTER)
    letters.finalize_answer = False
    with pytest.raises(FinalizeError):
        bench.loader.publish()
    assert "finalize" not in bench.destination.calls
    letters.finalize_answer = True
    bench.loader.publish()
    assert letters.calls[-1] == bench.destination.calls[-1] == "finalize"


def test_routed_rows_that_are_refused_name_the_table_they_were_for() -> None:
    letters = Letters()
    bench = Bench(routed=True, dead_letters=DeadLetters(OnError.DEAD_LETTER, letters))
    bench.destination.answers = [RowsRejectedError({0: "bad"})]
    bench.write(0, 0, rows=2, destination_id="elsewhere")
    assert [row["destination_id"] for row in letters.letters] == ["elsewhere"]
    assert bench.destination.rows == {"elsewhere": ["1"]}
    assert letters.rows == {"table": ["0"]}, "one file for the dead letters of all tables"
