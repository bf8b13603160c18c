"""The backend consists of parts, one for each table. Their methods are the bodies of transactions."""

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar
from uuid import uuid4

from sqlalchemy import Connection

from bizon.common.errors.errors import BackendError

if TYPE_CHECKING:
    from bizon.engine.backend.adapters.sqlalchemy.database import Database
    from bizon.engine.backend.adapters.sqlalchemy.transactions import Transactions
    from bizon.engine.backend.models import StreamJob


class BackendPart:
    """Shared by all parts: the database, and its transactions."""

    _database: "Database"
    _transactions: "Transactions"

    def _existing(self, job_id: str, job: "StreamJob | None") -> "StreamJob":
        """The job; raises BackendError when it is missing."""
        if job is None:
            raise BackendError(f"job '{job_id}' is missing from {self._database.name}: was it deleted during the run?")
        return job


Part = TypeVar("Part", bound=BackendPart)
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
_InTransaction = Callable[Concatenate[Part, Connection, Arguments], Result]
_Inserting = Callable[Concatenate[Part, Connection, str, Arguments], Result]
_Method = Callable[Concatenate[Part, Arguments], Result]


def in_transaction(body: _InTransaction[Part, Arguments, Result]) -> _Method[Part, Arguments, Result]:
    """A method that runs ``body`` in its own transaction, and waits while the database is unreachable. ``body``
    may run twice: see :class:`Transactions`."""

    @wraps(body)
    def method(self: Part, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        return self._transactions.run(lambda connection: body(self, connection, *args, **kwargs))

    return method


def in_one_try(body: _InTransaction[Part, Arguments, Result]) -> _Method[Part, Arguments, Result]:
    """The same without waiting, for calls that come again soon."""

    @wraps(body)
    def method(self: Part, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        return self._transactions.run(lambda connection: body(self, connection, *args, **kwargs), patient=False)

    return method


def inserting(body: _Inserting[Part, Arguments, Result]) -> _Method[Part, Arguments, Result]:
    """The same as ``in_transaction``, with an id for a new row. The id is the same when ``body`` runs twice, so the
    second run recognises the row of the first."""

    @wraps(body)
    def method(self: Part, /, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        row_id = uuid4().hex
        return self._transactions.run(lambda connection: body(self, connection, row_id, *args, **kwargs))

    return method
