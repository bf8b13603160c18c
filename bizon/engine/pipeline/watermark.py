"""A watermark belongs to one output: the rows that it declares loaded must be in that output."""

from typing import Any

from bizon.common.errors.errors import WatermarkError
from bizon.destination.models import OutputState, PublishedOutput, ResumePoint

_CHOICES = (
    "Run with --fresh to load everything into it, with --adopt to load only what has changed since, or give each "
    "pipeline its own `id:`"
)


def check_watermark(found: OutputState, resume: ResumePoint) -> None:
    """Raise WatermarkError when the run would resume after a watermark that belongs to another output, or to rows that
    no longer exist. Called before anything is fetched."""
    published = resume.published
    if published is None or resume.adopt:
        return
    is_marked = found.published_by in (published.job_id, *published.also, resume.job_id)
    if not is_marked and dict(found.identity) != dict(published.identity):
        raise WatermarkError(
            f"the last run published to {_shown(published.identity)}, this one writes to {_shown(found.identity)}: "
            f"only records that changed since would be loaded. {_CHOICES}"
        )
    if not is_marked and found.published_by is not None:
        raise WatermarkError(
            f"{_shown(found.identity)} was published last by job {found.published_by}, which the state does not "
            f"know: it does not belong to the watermark of job {published.job_id}. {_CHOICES}"
        )
    if published.has_rows and found.has_rows is False:
        raise WatermarkError(
            f"{_shown(found.identity)} is gone or empty, but the last run published rows to it: only records that "
            f"changed since would be loaded. {_CHOICES}"
        )


def published_output(found: OutputState) -> dict[str, Any]:
    """The note in the state about the output of a job that has published."""
    return {"identity": dict(found.identity), "has_rows": found.has_rows}


def recorded_output(job_id: str, note: dict[str, Any] | None, also: tuple[str, ...] = ()) -> PublishedOutput | None:
    """The output of a job from its note in the state; None without a note."""
    if note is None or "identity" not in note:
        return None
    return PublishedOutput(job_id, note["identity"], note.get("has_rows"), also)


def _shown(identity: Any) -> str:
    details = [str(value) for name, value in identity.items() if name not in ("destination", "place")]
    suffix = f" ({', '.join(details)})" if details else ""
    return f"{identity.get('destination')} '{identity.get('place')}'{suffix}"
