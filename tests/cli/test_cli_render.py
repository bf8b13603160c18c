"""Numbers and words about a run."""

import pytest
from fakes import FakeClock
from loguru import logger

from bizon.cli.run_options import RunOptions
from bizon.cli.text.conclusion import conclusion
from bizon.cli.text.progress import LineProgress, progress_line
from bizon.cli.text.words import counted, size
from bizon.engine.pipeline.models import PipelineReturnStatus, ProgressSnapshot
from bizon.engine.runner.models import RunnerStatus

SUCCESS = PipelineReturnStatus.SUCCESS


def snapshot(fetched: int = 0, total: int | None = None) -> ProgressSnapshot:
    return ProgressSnapshot(
        pages=fetched // 100,
        records_fetched=fetched,
        bytes_fetched=fetched * 1000,
        records_written=0,
        total_records=total,
    )


@pytest.mark.parametrize(
    ("fetched", "total", "expected"),
    [
        (0, None, "0 records (0.0/s), 0 pages, 0 B, 0 written"),
        (1200, None, "1,200 records (120/s), 12 pages, 1.1 MB, 0 written"),
        (1200, 4800, "1,200 of 4,800 records (120/s), 12 pages, 1.1 MB, 0 written, ETA 0:00:30"),
        (100, 100, "100 of 100 records (10/s), 1 page, 97.7 kB, 0 written"),
        (0, 0, "0 of 0 records (0.0/s), 0 pages, 0 B, 0 written"),
    ],
)
@pytest.mark.lesson("F-17")
def test_progress_is_a_line_with_a_rate_and_an_eta_when_the_total_is_known(
    fetched: int, total: int | None, expected: str
) -> None:
    """A total of zero used to be a division by zero."""
    assert progress_line(snapshot(fetched, total), 10) == expected


def test_a_resumed_run_continues_the_count_with_its_own_rate() -> None:
    """It used to begin at 0 of the total, and to announce an hour for a minute of work."""
    before = snapshot(1000, 4800)._replace(records_before=3000, pages_before=30, records_written=500)
    expected = "4,000 of 4,800 records (100/s), 40 pages, 976.6 kB, 3,500 written, ETA 0:00:08"
    assert progress_line(before, 10) == expected


def test_a_consumer_on_its_own_shows_writes_and_no_pages() -> None:
    """It used to show 0 records, 0 pages and 0 B."""
    assert progress_line(snapshot()._replace(records_written=1000), 10) == "1,000 written (100/s)"


def test_a_total_that_was_passed_is_not_shown() -> None:
    assert progress_line(snapshot(5000, 4800), 10).startswith("5,000 records (")


def test_no_time_has_passed_yet() -> None:
    assert progress_line(snapshot(10), 0).startswith("10 records (0.0/s)")


def test_sizes_and_counts_have_units() -> None:
    assert [size(n) for n in (0, 1023, 1024, 5 * 1024**2, 3 * 1024**3)] == [
        "0 B",
        "1023 B",
        "1.0 kB",
        "5.0 MB",
        "3.0 GB",
    ]
    assert [counted(n, "page") for n in (0, 1, 2000)] == ["0 pages", "1 page", "2,000 pages"]


def test_without_a_terminal_a_line_is_logged_only_when_something_changed() -> None:
    lines: list[str] = []
    sink = logger.add(lambda message: lines.append(message.record["message"]), level="INFO")
    now = [snapshot()]
    clock = FakeClock()
    show = LineProgress(lambda: now[0], clock)
    show()
    clock.advance(10)
    now[0] = snapshot(100)
    show()
    show()
    logger.remove(sink)
    assert lines == ["100 records (10/s), 1 page, 97.7 kB, 0 written"]


def test_a_stream_that_is_stopped_has_published_what_it_wrote() -> None:
    status = RunnerStatus("j", stream=PipelineReturnStatus.KILLED_BY_RUNNER, interrupted=True)
    end = conclusion(status, 1, publishes=False, max_iterations=None)
    assert end.err == ("Pipeline finished with status Interrupted: 0 records written in 1.0 s; run again to resume",)


def test_a_start_that_was_refused_has_no_checkpoint_to_resume_after() -> None:
    """A refused table ended with "0 records written; run again to resume after the last checkpoint"."""
    refused = RunnerStatus("j", consumer=PipelineReturnStatus.DESTINATION_ERROR, error="table 'items' belongs to pipe")
    assert (
        conclusion(refused, 1, publishes=True, max_iterations=None)
        .err[0]
        .endswith(": table 'items' belongs to pipe (0 records written in 1.0 s)")
    )


@pytest.mark.parametrize("progress", [{"records_written": 1}, {"records_rejected": 1}, {"resumed_from": 1}])
def test_a_failure_after_a_checkpoint_says_how_to_continue(progress: dict[str, int]) -> None:
    failed = RunnerStatus("j", consumer=PipelineReturnStatus.DESTINATION_ERROR, **progress)
    (line,) = conclusion(failed, 1, publishes=True, max_iterations=None).err
    assert line.endswith("; run again to resume after the last checkpoint)")


def test_a_producer_alone_resumes_after_what_it_sent() -> None:
    failed = RunnerStatus("j", producer=PipelineReturnStatus.SOURCE_ERROR, records_fetched=1)
    (line,) = conclusion(failed, 1, publishes=True, max_iterations=None).err
    assert line.endswith("(1 record sent in 1.0 s; run again to resume after the last checkpoint)")


def test_a_capped_stream_says_nothing_about_publishing() -> None:
    status = RunnerStatus("j", stream=SUCCESS, capped=True)
    end = conclusion(status, 1, publishes=False, max_iterations=1)
    assert "Stopped after max_iterations (1 page); run again to continue." in end.out


@pytest.mark.lesson("F-21")
def test_flags_that_were_not_given_override_nothing() -> None:
    assert RunOptions().overrides() == {}
    assert RunOptions(log_level="DEBUG").overrides() == {"engine": {"runner": {"log_level": "DEBUG"}}}
