"""Errors that say what is wrong with staged rows."""

from bizon.common.errors.errors import DestinationError
from bizon.destination.models import CommittedBatch


def without_receipt(batch: CommittedBatch, table: str) -> DestinationError:
    """A batch of which nothing says where its rows are."""
    return DestinationError(
        f"{_pages(batch)} were not staged for '{table}' by this release: was another destination or an older release "
        f"at work? Run with --fresh to fetch everything again"
    )


def differs(batch: CommittedBatch, what: str) -> DestinationError:
    """A batch whose rows are not as they were when they were committed."""
    return DestinationError(
        f"staging does not hold what was committed: {_pages(batch)} ({batch.rows:,} rows): {what}. Did somebody change "
        f"it, or is another run at work? Undo that, or run with --fresh to fetch everything again"
    )


def _pages(batch: CommittedBatch) -> str:
    return f"pages {batch.from_iteration}-{batch.to_iteration}"
