"""Waiting out failures of a destination that say that they will pass."""

from collections.abc import Callable

from bizon.common.errors.errors import DestinationError
from bizon.common.safe_log import logger

RETRY_WAITS = (1, 2, 4, 8, 15)
"""Seconds between tries of a write that failed with ``DestinationWriteError(..., retryable=True)``; then the run fails,
and the next one resumes."""


def with_retries(attempt: Callable[[], None], sleep: Callable[[float], None]) -> None:
    """Call until it succeeds or raises what is not retryable; at most once more than there are ``RETRY_WAITS``."""
    for wait in RETRY_WAITS:
        try:
            return attempt()
        except DestinationError as error:
            if not error.retryable:
                raise
            logger.warning(f"{error}; trying again in {wait} s")
            sleep(wait)
    return attempt()
