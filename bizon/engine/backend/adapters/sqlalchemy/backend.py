"""State in a SQL database, through SQLAlchemy Core."""

from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from bizon.engine.backend.adapters.sqlalchemy.destination_cursor_table import DestinationCursorTable
from bizon.engine.backend.adapters.sqlalchemy.engines import open_database, sqlite_path
from bizon.engine.backend.adapters.sqlalchemy.job_table import JobTable
from bizon.engine.backend.adapters.sqlalchemy.lease_table import LeaseTable
from bizon.engine.backend.adapters.sqlalchemy.member_table import MemberTable
from bizon.engine.backend.adapters.sqlalchemy.migrations import all_present, checked_version, upgraded
from bizon.engine.backend.adapters.sqlalchemy.reset_table import ResetTable
from bizon.engine.backend.adapters.sqlalchemy.source_cursor_table import SourceCursorTable
from bizon.engine.backend.adapters.sqlalchemy.token_table import TokenTable
from bizon.engine.backend.adapters.sqlalchemy.transactions import Transactions
from bizon.engine.backend.backend import AbstractBackend
from bizon.engine.backend.config import AbstractBackendConfigDetails, BackendTypes

if TYPE_CHECKING:
    from bizon.engine.backend.adapters.sqlalchemy.database import Database
    from bizon.engine.backend.models import StreamKey


class SQLAlchemyBackend(
    JobTable,
    DestinationCursorTable,
    MemberTable,
    SourceCursorTable,
    ResetTable,
    TokenTable,
    LeaseTable,
    AbstractBackend,
):
    """Serves every backend type. The differences between the databases are in their ``Database``."""

    def __init__(
        self,
        config: AbstractBackendConfigDetails,
        type: BackendTypes,
        database: "Database | None" = None,
        *,
        was_reached: bool = False,
    ) -> None:
        """``database``: one that is open already, by default the one that the configuration names. ``was_reached``: a
        process of this host has reached it, so a first connection that fails is an outage and not a mistake."""
        super().__init__(config, type)
        self._database = database or open_database(config, type)
        self._database.contact.was_made |= was_reached
        self._transactions = Transactions(self._database)

    def beside(self) -> "SQLAlchemyBackend":
        return SQLAlchemyBackend(self.config, self.type, self._database.beside())

    def create_all_tables(self) -> None:
        self._database.make_room()
        upgraded(self._transactions, may_race=self.type is not BackendTypes.POSTGRES)

    def check_prerequisites(self) -> bool:
        if not self._database.exists():
            return False
        self._transactions.run(checked_version)
        return self._transactions.run(all_present)

    def close(self) -> None:
        self._database.close()

    def spool_folder(self, key: "StreamKey") -> Path | None:
        if self.type is not BackendTypes.SQLITE:
            return None
        stream = sha256("\0".join(key).encode()).hexdigest()[:16]
        return sqlite_path(self.config).with_suffix(".spool") / stream
