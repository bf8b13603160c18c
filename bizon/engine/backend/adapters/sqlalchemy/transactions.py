"""Runs functions in transactions, and waits while the database is unreachable for a short time."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from bizon.common.errors.errors import BackendError
from bizon.common.safe_log import logger
from bizon.common.waiting import back_off, stop_sign

if TYPE_CHECKING:
    from bizon.engine.backend.adapters.sqlalchemy.database import Database

PATIENCE = 60.0
"""Seconds that a run waits for a database that has become unreachable: long enough for a restart."""

_PATIENCE_WITH_NOBODY = 5.0
"""Seconds of the same wait while nothing has ever listened at the address: long enough for a quick restart, and short
enough for a mistake in the address."""
_PATIENCE_ONCE_STOPPED = 5.0  # seconds of the same wait once the run must end
_FIRST_WAIT, _LONGEST_WAIT = 0.1, 1.0  # seconds

Result = TypeVar("Result")


class Transactions:
    """Runs functions on a connection, each in its own transaction. Used by the backend, from any thread.

    When a connection is lost, the function runs again on another one, and nobody knows whether the first transaction
    was committed. So each function must give the same result when all its changes are there already.
    """

    def __init__(
        self,
        database: "Database",
        *,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._sleep = sleep
        self._clock = clock

    def pause(self, seconds: float) -> None:
        """Wait between two transactions."""
        self._sleep(seconds)

    def run(self, work: Callable[[Connection], Result], *, patient: bool = True) -> Result:
        """Call ``work`` in a transaction, and commit it. Raises BackendError when the database fails.

        With ``patient``, an error that may pass is retried for ``PATIENCE`` seconds, the first connection included. A
        wrong password, host or database fails at once, and a port at which nothing listens within seconds.
        """

        def transaction() -> Result:
            with self._database.exclusive(), self._database.engine.begin() as connection:
                return work(connection)

        return self.attempt(transaction, patient=patient)

    def attempt(self, action: Callable[[], Result], *, patient: bool = True) -> Result:
        """Do something other than a transaction with the database, with the same errors and the same patience."""
        waiting: _Waiting | None = None
        for _ in back_off(_FIRST_WAIT, _LONGEST_WAIT, sleep=self._sleep):
            try:
                result = action()
                break
            except SQLAlchemyError as error:
                waiting = self._waiting(error, waiting, patient)
        if waiting is not None:
            logger.info(f"the state in {self._database.name} is reachable again")
        self._database.contact.was_made, self._database.contact.was_given_up = True, False
        return result

    def _waiting(self, error: SQLAlchemyError, before: "_Waiting | None", patient: bool) -> "_Waiting":
        """The wait that goes on after an error. Raises BackendError when waiting longer makes no sense."""
        database, reason = self._database, self._database.explain(error)
        is_given_up = before is None and database.contact.was_given_up
        if not patient or is_given_up or not database.may_pass(error):
            raise BackendError(f"the state in {database.name} cannot be used: {reason}") from error
        is_heard = (before is not None and before.is_heard) or not database.is_unheard(error)
        if before is None:
            how = f"retrying: {reason}" if is_heard else f"retrying for {_PATIENCE_WITH_NOBODY:.0f} s"
            logger.warning(f"the state in {database.name} is unreachable; {how}")
            return _Waiting(self._clock(), is_heard)
        if (waited := self._clock() - before.since) >= _patience(is_heard):
            database.contact.was_given_up = True
            outage = f"was unreachable for {waited:.0f} s; start the run again when it is back"
            what = outage if is_heard else "cannot be used"
            raise BackendError(f"the state in {database.name} {what}: {reason}") from error
        return before._replace(is_heard=is_heard)


class _Waiting(NamedTuple):
    """A wait for the database, since a time. ``is_heard``: there is a server, so this is an outage."""

    since: float
    is_heard: bool


def _patience(is_heard: bool) -> float:
    sign, patience = stop_sign(), PATIENCE if is_heard else _PATIENCE_WITH_NOBODY
    return min(patience, _PATIENCE_ONCE_STOPPED) if sign is not None and sign.is_set() else patience
