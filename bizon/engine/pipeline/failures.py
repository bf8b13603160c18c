"""Failures of a destination: turned into errors of the tree, and retried while they are retryable."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bizon.common.errors.errors import (
    DestinationError,
    DestinationWriteError,
    FinalizeError,
    OvertakenError,
)
from bizon.common.interrupts import in_words, is_failure
from bizon.common.safe_log import logger

RETRY_WAITS = (1, 2, 4, 8, 15)
"""Seconds between tries of a write that fails with ``DestinationWriteError(..., retryable=True)``. After the last try
the run fails, and the next one resumes."""


@contextmanager
def writing(where: str) -> Iterator[None]:
    """Within: a batch is written. ``where``: the start of the message, which names the batch."""
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
    """Within: staging is verified and published."""
    try:
        yield
    except (FinalizeError, OvertakenError):
        raise
    except BaseException as error:
        if not is_failure(error):
            raise
        text = str(error) if isinstance(error, DestinationError) else in_words(error)
        raise FinalizeError(f"publishing failed: {text}") from error


def with_retries(attempt: Callable[[], None], sleep: Callable[[float], None]) -> None:
    """Call until it succeeds or raises an error that is not retryable; at most once more than ``RETRY_WAITS`` has
    entries."""
    for wait in RETRY_WAITS:
        try:
            return attempt()
        except DestinationError as error:
            if not error.retryable:
                raise
            logger.warning(f"{error}; retrying in {wait} s")
            sleep(wait)
    return attempt()
