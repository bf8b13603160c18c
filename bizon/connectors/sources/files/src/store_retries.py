"""Requests to an object store, repeated by bizon: obstore and Polars wait where they see neither that the run must end
nor that a check must answer soon. So these two wait for less than a second.

A listing, and a scan by Polars, is many requests. Each of them is repeated ``QUICKLY``, up to ``MOST_QUICK`` times,
before the whole is repeated.
"""

import re
from collections.abc import Callable
from typing import TypeVar

from bizon.common.safe_log import logger
from bizon.common.waiting import back_off, is_in_time

Result = TypeVar("Result")

MOST_QUICK = 2
QUICKLY = (50, 200)  # milliseconds: the first wait and the longest one
_FIRST_WAIT, _LONGEST_WAIT = 0.1, 15.0  # seconds
_PATIENCE = 180.0  # seconds; nothing is repeated after that
_SPREAD = 0.5  # share of a wait; those who have failed together do not meet again
_STATUS = re.compile(r"status code: (\d{3})\b")
_PASSING = frozenset({"408", "429"})
_UNANSWERED = "HTTP error: "  # without a status: no connection, no answer in time, an answer that breaks off
_STAYS = "ertificate"


def repeated(request: Callable[[], Result], *, retries: int, shown: Callable[[Exception], str]) -> Result:
    """Send a request to a store, and again up to ``retries`` times while the store is overloaded or not reached.
    ``shown``: the text of an error for the log. Raises the last error, and StoppedError when the run ends."""
    for attempt in back_off(_FIRST_WAIT, _LONGEST_WAIT, tries=retries + 1, patience=_PATIENCE, spread=_SPREAD):
        try:
            return request()
        except Exception as error:
            if not _may_pass(str(error)) or attempt.is_last or not is_in_time(attempt.wait):
                raise
            logger.warning(f"{shown(error)}; retrying in {attempt.wait:.1g} s")
    raise AssertionError("back_off ends with its last attempt")


def _may_pass(text: str) -> bool:
    """Whether the same request may succeed later. obstore and Polars say the status only in the text."""
    status = _STATUS.search(text)
    if status is not None:
        return status[1].startswith("5") or status[1] in _PASSING
    return _UNANSWERED in text and _STAYS not in text
