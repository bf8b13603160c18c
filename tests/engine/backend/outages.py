"""Outages of a server that last as long as a clock of the test says."""

from postgres import Place, PrivateServer

from bizon.engine.backend.adapters.sqlalchemy.backend import SQLAlchemyBackend
from bizon.engine.backend.adapters.sqlalchemy.transactions import Transactions
from bizon.engine.backend.config import BackendTypes

NEVER = 10_000


class Outage:
    """A clock that moves when the backend sleeps; the server comes back after ``seconds``, or never."""

    def __init__(self, server: PrivateServer, seconds: float) -> None:
        self._server = server
        self._seconds = seconds
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.now >= self._seconds:
            self._server.start()

    def met_by(self, backend: SQLAlchemyBackend) -> SQLAlchemyBackend:
        """The backend, which waits by this clock."""
        backend._transactions = Transactions(backend._database, sleep=self.sleep, clock=self)
        return backend


def unopened(server: PrivateServer, seconds: float, place: Place | None = None) -> tuple[SQLAlchemyBackend, Outage]:
    """A backend that has not connected yet. ``place``: where it finds the server, if not where it is."""
    outage = Outage(server, seconds)
    backend = SQLAlchemyBackend((place or server.place).details(), BackendTypes.POSTGRES)
    return outage.met_by(backend), outage


def backend_in_outage(server: PrivateServer, seconds: float) -> tuple[SQLAlchemyBackend, Outage]:
    backend, outage = unopened(server, seconds)
    backend.create_all_tables()
    return backend, outage
