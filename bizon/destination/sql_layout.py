"""How rows lie in the tables of a SQL destination: as six columns, or as typed ones. The contract of both."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import polars as pl

    from bizon.destination.models import BatchRange, CommittedBatch, WriteMode
    from bizon.destination.sql_target import Dialect, SqlTarget, Transaction

Write = Callable[["Transaction"], None]
"""Writes a batch in a transaction that has checked the claim."""


class SqlTables(Protocol):
    """The primitives that a layout needs of its destination."""

    @property
    def target(self) -> "SqlTarget":
        """The connection."""

    @property
    def dialect(self) -> "Dialect":
        """The spelling of SQL."""

    def load(self, within: "Transaction", table: str, frame: "pl.DataFrame") -> None:
        """Insert the rows of a frame; its columns have the names of the table's."""


class SqlStaging(Protocol):
    """The staging of a job as it is published, from the table ``name``."""

    name: str

    def receipt(self) -> Mapping[str, Any] | None:
        """The receipt of the last write."""

    def verify(self, committed: Sequence["CommittedBatch"]) -> None:
        """Compare the rows of each batch with the checkpoints. Raises DestinationError."""

    def drop(self) -> None:
        """Drop it; it may be gone."""


class SqlStagingTable(SqlStaging, Protocol):
    """The staging table of a job, or of a part of a joined one. Methods with ``within`` run in a transaction that has
    checked the claim."""

    def create(self, check: "Write") -> None:
        """Create it if there is none, in a transaction by itself, after ``check``: a start that was superseded since
        creates none that nobody would drop."""

    def trim(self, within: "Transaction", last_page: int | None) -> None:
        """Delete the rows after a page; None: all rows."""

    def write(self, batch: "BatchRange", rows: "pl.DataFrame") -> Write:
        """Prepare a write without touching the table. The same batch written again replaces the first write."""

    def add(self, within: "Transaction", part: str, number: int) -> None:
        """Add the rows that the staging table of a part has. Called for the parts in the order of their numbers."""


class TableLayout(ABC):
    """The rows of a destination in its tables. ``SqlTableDestination`` creates one, and calls it in this order:
    ``set_up`` for each table, then ``staging`` or ``part``; or, where nothing is staged, ``write_as`` for a member of a
    stream, ``trim_in_place`` and ``write_in_place``; ``publish`` last. Methods with ``within`` run in a transaction
    that has checked the claim."""

    @abstractmethod
    def set_up(self, output: str, *, in_place: bool) -> None:
        """Create the table, empty, if there is none, and what ``write_in_place`` needs. Raises
        TableRefusedError for a table that has other columns."""

    @abstractmethod
    def has_rows(self, within: "Transaction", output: str) -> bool:
        """Whether a table that is set up has rows."""

    @abstractmethod
    def staging(self, name: str, output: str) -> SqlStagingTable:
        """The staging table of this name for the rows of an output. Nothing is created yet."""

    @abstractmethod
    def part(self, name: str, output: str, joined: str, lock: Write) -> SqlStagingTable:
        """The staging table of this name for the rows of one part. Nothing is created yet. ``joined``: the staging
        table of the whole job. ``lock``: checks the claim to the part; no two transactions of the job that begin with
        it run at once."""

    @abstractmethod
    def write_as(self, member: int) -> None:
        """From now on ``trim_in_place`` and ``write_in_place`` are about the rows of this member of a stream; without
        the call, about the rows of plain runs."""

    @abstractmethod
    def trim_in_place(self, within: "Transaction", last_page: int | None) -> None:
        """Take back rows of this job, or member, that were written in place after a page; None: all of them."""

    @abstractmethod
    def write_in_place(self, output: str, batch: "BatchRange", rows: "pl.DataFrame") -> Write:
        """Prepare a write to the output itself. The same batch written again replaces the first write."""

    @abstractmethod
    def publish(self, within: "Transaction", output: str, staging: SqlStaging, mode: "WriteMode") -> None:
        """Make the staged rows the rows of the output, or add them to it."""
