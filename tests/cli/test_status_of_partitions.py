"""``bizon status`` of a job with partitions."""

from dataclasses import replace

from bizon.cli.text.status_lines import status_lines
from bizon.engine.partitions import PARTITIONS
from bizon.engine.runner.pipeline_report import PipelineReport

PLACES = {PARTITIONS: {"left": 3, "done": [0], "at": {"1": [4, {"page": 5}]}}}
REPORT = PipelineReport(
    *("pipe", "source", "items", "running"),
    job_id="job",
    age_seconds=5.0,
    last_iteration=7,
    next_pagination=PLACES,
    partitions=4,
    partitions_left=3,
)


def test_the_checkpoint_says_how_many_partitions_are_left() -> None:
    assert "Checkpoint: 3 of 4 partitions are left" in status_lines(REPORT)


def test_a_job_whose_partitions_are_all_done_has_its_last_page_committed() -> None:
    done = replace(REPORT, next_pagination={}, partitions_left=0)
    assert "Checkpoint: iteration 7, the last one" in status_lines(done)
