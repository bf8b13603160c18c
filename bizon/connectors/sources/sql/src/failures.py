"""Errors of a database, as the errors of a source: on one line, without statement and values; and their retries."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy.exc import DBAPIError

from bizon.common.errors.errors import SourceFetchError
from bizon.common.safe_log import logger
from bizon.common.waiting import back_off, is_in_time

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection, Engine

    from bizon.connectors.sources.sql.src.flavour import Flavour

_EXCERPT = re.compile(r"\s*\bLINE \d+:|, near '| near '")
"""The beginning of the part of a statement that a database shows. It cuts it anywhere: a secret without its end would
no longer be known."""
Result = TypeVar("Result")
_FIRST, _LONGEST, _TRIES = 1, 15, 6  # seconds, seconds, attempts: half a minute in all


def in_a_transaction(flavour: "Flavour", engine: "Engine", work: Callable[["Connection"], Result]) -> Result:
    """The result of ``work`` in a transaction of its own. Tried again, on a new connection, when the server was
    unreachable or has ended it. Raises SourceFetchError."""
    for attempt in back_off(_FIRST, _LONGEST, tries=_TRIES):
        try:
            with engine.connect() as connection, connection.begin():
                flavour.begin(connection)
                return work(connection)
        except DBAPIError as error:
            failed = explained(flavour, error)
            if not failed.retryable or attempt.is_last or not is_in_time(attempt.wait):
                raise failed from error.orig
            engine.dispose()
            logger.warning(f"{failed}; retrying in {attempt.wait:g} s")
    raise AssertionError("back_off ends with its last attempt")


def explained(flavour: "Flavour", error: DBAPIError) -> SourceFetchError:
    """The message of the database, and the remedy if there is one. ``retryable`` when it may pass."""
    cause = error.orig or error
    code, *rest = cause.args or ("",)
    text = f"{rest[0]} ({code})" if rest and isinstance(code, int) else str(cause)
    found = flavour.failure(cause)
    if flavour.config.states_a_secret:
        text = _EXCERPT.split(text, maxsplit=1)[0]
    said = " ".join(text.split()) or type(cause).__name__
    failed = SourceFetchError(f"the database says: {said}{'; ' + found.hint if found.hint else ''}")
    failed.retryable = found.passes or error.connection_invalidated
    return failed
