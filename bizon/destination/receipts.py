"""Which staged parts count: the parts that the receipts of the checkpoints name, and no others.

A crash may tear a write, and a start that was overtaken while frozen may write again when it wakes up. Such rows have
no receipt. Every destination that stages decides here what it publishes; it removes the rest, or never selects it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from bizon.common.errors.errors import DestinationError

if TYPE_CHECKING:
    from bizon.destination.models import CommittedBatch

Part = TypeVar("Part")
Locate = Callable[[Mapping[str, Any]], Part]
"""Finds the part of a batch by its receipt. Raises KeyError, TypeError or ValueError for a receipt that names none."""


def parts_that_count(
    committed: Sequence["CommittedBatch"], locate: Locate[Part], place: str
) -> list[tuple["CommittedBatch", Part]]:
    """Each batch that has rows, in page order, with its part. ``place``: the staging, as an error names it.

    Raises DestinationError for a batch whose receipt names no part.
    """
    parts: list[tuple[CommittedBatch, Part]] = []
    for batch in committed:
        if not batch.rows:
            continue
        try:
            parts.append((batch, locate(batch.receipt or {})))
        except (KeyError, TypeError, ValueError):
            raise _not_staged(batch, place) from None
    return parts


def differs(batch: "CommittedBatch", what: str) -> DestinationError:
    """The error for a part that is missing, or that changed since its batch was committed."""
    return DestinationError(
        f"staging does not hold what was committed: {_pages(batch)} ({batch.rows:,} rows): {what}. Did somebody change "
        f"it, was the working directory changed, or is another run writing? Undo that, or run with --fresh to fetch "
        f"everything again"
    )


def not_verified() -> DestinationError:
    """The error for publishing without a ``verify`` before."""
    return DestinationError("staging was not verified, so nothing is published")


def _not_staged(batch: "CommittedBatch", place: str) -> DestinationError:
    return DestinationError(
        f"{_pages(batch)} were not staged for '{place}': was another destination, another format or an older release "
        f"used? Undo that, or run with --fresh to fetch everything again"
    )


def _pages(batch: "CommittedBatch") -> str:
    pages = f"pages {batch.from_iteration}-{batch.to_iteration}"
    return pages if batch.partition is None else f"{pages} of part {batch.partition}"
