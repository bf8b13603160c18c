"""Runs functions in transactions, and waits while the database is unreachable for a short time."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from bizon.common.errors.errors import BackendError
from bizon.common.safe_log import logger
from bizon.common.waiting import back_off, stop_sign

if TYPE_CHECKING:
    from bizon.engine.backend.adapters.sqlalchemy.database import Database

PATIENCE = 60.0
"""Seconds that a run waits for a database that has become unreachable: long enough for a restart."""

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
        self._reached = False

    def pause(self, seconds: float) -> None:
        """Wait between two transactions."""
        self._sleep(seconds)

    def run(self, work: Callable[[Connection], Result], *, patient: bool = True) -> Result:
        """Call ``work`` in a transaction, and commit it. Raises BackendError when the database fails.

        With ``patient``, a temporary error is retried for ``PATIENCE`` seconds, but only when the database was reached
        before: a configuration that never worked fails at once.
        """

        def transaction() -> Result:
            with self._database.exclusive(), self._database.engine.begin() as connection:
                return work(connection)

        return self.attempt(transaction, patient=patient)

    def attempt(self, action: Callable[[], Result], *, patient: bool = True) -> Result:
        """Do something other than a transaction with the database, with the same errors and the same patience."""
        failing_since: float | None = None
        for _ in back_off(_FIRST_WAIT, _LONGEST_WAIT, sleep=self._sleep):
            try:
                result = action()
                break
            except SQLAlchemyError as error:
                failing_since = self._waiting_since(error, failing_since, patient)
        if failing_since is not None:
            logger.info(f"the state in {self._database.name} is reachable again")
        self._reached = True
        return result

    def _waiting_since(self, error: SQLAlchemyError, since: float | None, patient: bool) -> float:
        """The time at which the database became unreachable. Raises BackendError when waiting longer makes no sense."""
        reason = self._database.explain(error)
        if not (patient and self._database.may_pass(error, reached=self._reached)):
            raise BackendError(f"the state in {self._database.name} cannot be used: {reason}") from error
        if since is None:
            logger.warning(f"the state in {self._database.name} is unreachable; retrying: {reason}")
            return self._clock()
        if (waited := self._clock() - since) >= _patience():
            self._reached = False  # later calls of this run fail at once instead of waiting as long again
            raise BackendError(
                f"the state in {self._database.name} was unreachable for {waited:.0f} s; start the run again when it "
                f"is back: {reason}"
            ) from error
        return since


def _patience() -> float:
    sign = stop_sign()
    return _PATIENCE_ONCE_STOPPED if sign is not None and sign.is_set() else PATIENCE
