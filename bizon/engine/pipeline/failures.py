"""From whatever a destination raises to the errors of the tree, with what was not done."""

from collections.abc import Iterator
from contextlib import contextmanager

from bizon.common.errors.errors import (
    DestinationError,
    DestinationWriteError,
    FinalizeError,
    OvertakenError,
)
from bizon.common.interrupts import in_words, is_failure


@contextmanager
def writing(where: str) -> Iterator[None]:
    """Within: a batch is written. ``where``: words that name the batch, and that nothing was recorded."""
    try:
        yield
    except (DestinationError, OvertakenError):
        raise
    except BaseException as error:
        if not is_failure(error):
            raise
        retryable = bool(getattr(error, "retryable", False))
        raise DestinationWriteError(f"{where}: {in_words(error)}", retryable=retryable) from error


@contextmanager
def publishing() -> Iterator[None]:
    """Within: what is staged is verified and published."""
    try:
        yield
    except (FinalizeError, OvertakenError):
        raise
    except BaseException as error:
        if not is_failure(error):
            raise
        text = str(error) if isinstance(error, DestinationError) else in_words(error)
        raise FinalizeError(f"publishing failed: {text}") from error
