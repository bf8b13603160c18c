"""Running functions in transactions, and waiting out a database that is away for a while."""

import time
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from bizon.common.errors.errors import BackendError
from bizon.common.safe_log import logger
from bizon.common.waiting import stop_sign
from bizon.engine.backend.adapters.sqlalchemy.database import Database

PATIENCE = 60.0
"""Seconds that a database may be away in the middle of a run: time for a restart, and less than waiting for ever."""

_PATIENCE_ONCE_STOPPED = 5.0  # seconds that it may be away once the run must end
_FIRST_WAIT, _LONGEST_WAIT = 0.1, 1.0  # seconds

Result = TypeVar("Result")


class Transactions:
    """Runs functions on a connection, each in a transaction of its own. Used by the backend, from any thread.

    A function may be called again, on another connection, when the first is lost; whether the transaction that was
    under way then was committed is not known. So each must give the same result when all it did is there already.
    """

    def __init__(
        self,
        database: Database,
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

        An error that may pass is waited out for ``PATIENCE`` seconds, with ``patient``, and only when the database
        was reached before: what is wrong from the beginning is told at once.
        """

        def transaction() -> Result:
            with self._database.turn(), self._database.engine.begin() as connection:
                return work(connection)

        return self.attempt(transaction, patient=patient)

    def attempt(self, action: Callable[[], Result], *, patient: bool = True) -> Result:
        """Do something else with the database than a transaction, with the same errors and the same patience."""
        since: float | None = None
        wait = _FIRST_WAIT
        while True:
            try:
                result = action()
            except SQLAlchemyError as error:
                reason = self._database.explain(error)
                if not (patient and self._database.may_pass(error, reached=self._reached)):
                    raise BackendError(f"the state in {self._database.name} cannot be used: {reason}") from error
                if since is None:
                    since = self._clock()
                    logger.warning(f"the state in {self._database.name} is away, waiting for it: {reason}")
                elif (waited := self._clock() - since) >= _patience():
                    self._reached = False  # one such wait is enough: what the run still has to say fails at once
                    raise BackendError(
                        f"the state in {self._database.name} was away for {waited:.0f} s; start the run again when it "
                        f"is back: {reason}"
                    ) from error
                self._sleep(wait)
                wait = min(2 * wait, _LONGEST_WAIT)
            else:
                if since is not None:
                    logger.info(f"the state in {self._database.name} is back")
                self._reached = True
                return result


def _patience() -> float:
    sign = stop_sign()
    return _PATIENCE_ONCE_STOPPED if sign is not None and sign.is_set() else PATIENCE
