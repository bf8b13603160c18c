"""Guards between the loader, a destination and the state: what is verified, and which output a watermark belongs to."""

from typing import TYPE_CHECKING, Any

import pytest
from engine.pipeline.test_loader import Bench
from fakes import memory_backend, new_job

from bizon.common.errors.errors import FinalizeError, WatermarkError
from bizon.destination.models import OutputState, PublishedOutput, ResumePoint
from bizon.engine.pipeline.watermark import check_watermark

if TYPE_CHECKING:
    from conftest import Pipeline

HERE = {"destination": "file", "place": "/here/out.json", "format": "json"}
ELSEWHERE = {**HERE, "place": "/elsewhere/out.json"}
RESUME = ResumePoint("next", published=PublishedOutput("last", HERE, has_rows=True))


def test_everything_is_verified_before_anything_is_published(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    bench.write(0, 0, rows=2)
    bench.write(1, 1, rows=0)
    verified: list[Any] = []

    def verify(committed: Any) -> None:
        verified.extend((batch.from_iteration, batch.rows) for batch in committed)
        raise FinalizeError("page 0 is damaged")

    monkeypatch.setattr(bench.destination, "verify", verify)
    calls = list(bench.destination.calls)
    with pytest.raises(FinalizeError, match="page 0 is damaged"):
        bench.loader.publish()
    assert verified == [(0, 2), (1, 0)]
    assert bench.destination.calls == calls


def test_a_watermark_of_the_output_that_was_published_last_counts() -> None:
    check_watermark(OutputState(HERE, "last", has_rows=True), RESUME)
    check_watermark(OutputState(HERE, "next", has_rows=True), RESUME)
    check_watermark(OutputState(HERE, None, has_rows=None), RESUME)


def test_a_watermark_of_another_place_is_refused() -> None:
    with pytest.raises(WatermarkError, match=r"/here/out.json.*/elsewhere/out.json.*--fresh"):
        check_watermark(OutputState(ELSEWHERE, None, has_rows=True), RESUME)


def test_a_watermark_is_refused_when_a_job_that_nobody_knows_published_last() -> None:
    with pytest.raises(WatermarkError, match=r"was published last by job unknown.*--fresh"):
        check_watermark(OutputState(HERE, "unknown", has_rows=True), RESUME)


def test_a_watermark_of_rows_that_are_gone_is_refused() -> None:
    with pytest.raises(WatermarkError, match=r"is gone or empty.*--fresh"):
        check_watermark(OutputState(HERE, "last", has_rows=False), RESUME)


def test_an_incremental_run_whose_output_is_gone_stops_before_it_fetches(pipeline: "Pipeline") -> None:
    """It used to load only the changes and report success."""
    pipeline.source(sync_mode="incremental").run()
    (pipeline.folder / "out.json").unlink()
    asked = pipeline.trace()
    refused = pipeline.run(expect=1)
    assert "is gone or empty" in refused.stderr
    assert pipeline.trace() == asked
    pipeline.run("--fresh")
    assert pipeline.ids() == list(range(20))


def test_a_superseded_start_does_not_note_an_output() -> None:
    backend = memory_backend()
    job_id = new_job(backend)
    earlier, later = backend.open_epoch(job_id), backend.open_epoch(job_id)
    backend.note_output(job_id, {"identity": HERE}, epoch=later)
    backend.note_output(job_id, {"identity": ELSEWHERE}, epoch=earlier)
    job = backend.get_stream_job_by_id(job_id)
    assert job is not None
    assert job.output == {"identity": HERE}
