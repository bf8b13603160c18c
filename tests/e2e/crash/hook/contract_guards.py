"""Guards between the loader, a destination and the state: what is verified, and which output a watermark belongs to."""

from dataclasses import replace
from types import ModuleType
from typing import Any

from guards import WATERMARKS, guard, nothing, swap

WATERMARK = "engine.pipeline.watermark"


def seen(change: Any) -> Any:
    """For ``swap``: the check, which sees something else. ``change`` gets what was found and what was published."""

    def make(check: Any) -> Any:
        def call(found: Any, resume: Any) -> None:
            check(found if resume.published is None else change(found, resume.published), resume)

        return call

    return make


@guard("engine.pipeline.loader", f"{WATERMARKS}::test_everything_is_verified_before_anything_is_published")
def staging_is_not_verified(module: ModuleType) -> None:
    def make(publish: Any) -> Any:
        def call(self: Any) -> None:
            for destination in filter(None, (self.destination, self.dead_letters.destination)):
                destination.verify = lambda _committed: None
            publish(self)

        return call

    swap(module.Loader, "publish", make)


@guard("engine.pipeline.loader", f"{WATERMARKS}::test_an_incremental_run_whose_output_is_gone_stops_before_it_fetches")
def watermark_is_not_checked(module: ModuleType) -> None:
    swap(module, "check_watermark", nothing)


@guard(WATERMARK, f"{WATERMARKS}::test_a_watermark_of_another_place_is_refused")
def watermarks_of_another_place_count(module: ModuleType) -> None:
    swap(module, "check_watermark", seen(lambda found, published: replace(found, identity=published.identity)))


@guard(WATERMARK, f"{WATERMARKS}::test_a_watermark_is_refused_when_a_job_that_nobody_knows_published_last")
def outputs_of_unknown_jobs_count(module: ModuleType) -> None:
    swap(module, "check_watermark", seen(lambda found, _published: replace(found, published_by=None)))


@guard(WATERMARK, f"{WATERMARKS}::test_a_watermark_of_rows_that_are_gone_is_refused")
def outputs_that_are_gone_count(module: ModuleType) -> None:
    swap(module, "check_watermark", seen(lambda found, _published: replace(found, has_rows=None)))


@guard("engine.backend.adapters.sqlalchemy.job_table", f"{WATERMARKS}::test_a_superseded_start_does_not_note_an_output")
def superseded_starts_note_their_output(module: ModuleType) -> None:
    def make(note: Any) -> Any:
        def call(self: Any, job_id: str, output: Any, *, epoch: int) -> None:
            note(self, job_id, output, epoch=self.get_stream_job_by_id(job_id).attempt)

        return call

    swap(module.JobTable, "note_output", make)
