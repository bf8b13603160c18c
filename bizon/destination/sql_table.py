"""Destinations that write tables of a SQL database: everything but the connection.

The protocol is in ``staged.py``, the fence in ``sql_claims.py``. Rows wait in a staging table of the job, or of each
part of a joined one (``sql_parts.py``), and one transaction publishes them: it checks the claim, replaces the old rows
or adds the staged ones, and names the job. How rows lie in tables is in the layout (``sql_layout.py``). No step here
relies on DDL that can be rolled back: tables are created before their transaction and dropped after it.
"""

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import polars as pl

from bizon.common.errors.errors import (
    ConfigError,
    DestinationConnectionError,
    DestinationWriteError,
    RowsRejectedError,
)
from bizon.destination.models import OutputState, WriteMode
from bizon.destination.sql_claims import Claims
from bizon.destination.sql_parts import Stagings, UnitedStaging
from bizon.destination.sql_rows import SixColumns, look
from bizon.destination.sql_target import Dialect, SqlTarget
from bizon.destination.staged import StagedDestination, Step

if TYPE_CHECKING:
    from bizon.destination.models import ResumePoint
    from bizon.destination.sql_claims import Claim
    from bizon.destination.sql_layout import SqlStaging, SqlStagingTable, TableLayout
    from bizon.destination.sql_presence import Presence
    from bizon.destination.sql_target import Transaction

_SUFFIXES = {WriteMode.REPLACE: "temp", WriteMode.APPEND: "incremental"}


class SqlTableDestination(StagedDestination):
    """The six columns in a table of a SQL database, exactly once in every sync mode, also when a run is frozen and
    another takes over.

    A subclass sets ``driver``, the module of its DB-API 2.0 driver, and ``dialect``, and writes ``connect`` and
    ``place``; and ``single_writer`` to False where several processes may write at once, so that they can join one job.
    The database also has tables ``_bizon_outputs`` (who writes which table) and ``_bizon_last_rows``. The output is
    created, empty, when the first run starts. It belongs to the pipeline that writes it; another pipeline is refused,
    as is a table with rows that bizon did not write.
    """

    driver: Any
    dialect: ClassVar[Dialect] = Dialect()
    takes_members = True
    _staging: "SqlStaging"
    _table: "SqlStagingTable"
    _claimed: str
    _resume: "ResumePoint"
    _claim: "Claim | None" = None

    @abstractmethod
    def connect(self) -> Any:
        """A new connection of the driver, with autocommit off; for the first statement, and again after an error."""

    @property
    @abstractmethod
    def place(self) -> str:
        """The database without credentials: a file, or host and name. People see it, and it identifies the output."""

    @property
    def presence(self) -> "Presence | None":
        """How runs of other states see that this one lives. None, the default: the target has no advisory locks."""
        return None

    def is_transient(self, error: Exception) -> bool:
        """Whether a call with this error may succeed later; by default ``OperationalError`` and ``InterfaceError``."""
        return isinstance(error, (self.driver.OperationalError, self.driver.InterfaceError))

    def text_of(self, error: Exception) -> str:
        """An error of the driver in one line, for people. By default the first line of its text."""
        return next(iter(str(error).splitlines()), type(error).__name__)

    def load(self, within: "Transaction", table: str, frame: pl.DataFrame) -> None:
        """Insert the rows of a frame, at least one, by column name; by default one INSERT for each row."""
        names = {f"c{number}": name for number, name in enumerate(frame.columns)}
        marks = ", ".join("?" for _ in names)
        columns = ", ".join(f"{{{key}}}" for key in names)
        insert = f"INSERT INTO {{table}} ({columns}) VALUES ({marks})"
        within.run_for_each(insert, self.dialect.values(frame), table=table, **names)

    def check_connection(self) -> bool:
        """True, or raises DestinationConnectionError: the database is unreachable, no table can be created in it, or
        the table has other columns. ConfigError for a name that is refused. In ``bizon check`` no table is created."""
        if fault := self.dialect.fault_of(output := self.default_destination_id):
            raise ConfigError(f"{fault}; set another destination_id", key=("destination", "config", "destination_id"))
        try:
            with self._step():
                look(self.target, output) if self.only_looks else self._set_up(output)
        except self.driver.Error as error:
            raise DestinationConnectionError(f"{self.place}: {self.text_of(error)}") from error
        return True

    def write_records(self, df_destination_records: pl.DataFrame) -> tuple[bool, str | None]:
        """Write one batch in one transaction. The same batch written again replaces the first write. Raises
        RowsRejectedError for rows that name a table which this pipeline must not write."""
        if fault := self.dialect.fault_of(output := self.destination_id):
            raise RowsRejectedError(dict.fromkeys(range(df_destination_records.height), fault))
        with self._refusing(df_destination_records.height), self._explained(Step.PREPARE):
            if self._in_place:
                self._set_up(output)
                write = self._layout.write_in_place(output, self.batch, df_destination_records)
            else:
                write = self._table.write(self.batch, df_destination_records)
            with self.target.transaction() as within:
                self._check(within)
                if self._in_place and output != self._claimed:
                    self._claims.share(within, output, self._resume.of_job, self._layout.has_rows)
                write(within)
        return True, None

    def output(self) -> OutputState:
        """The table as it is now, and the job of this pipeline that published it last."""
        output = self.default_destination_id
        identity = {"destination": self.sync_metadata.destination_name, "place": self._place}
        with self._explained(Step.PREPARE):
            self._set_up(output)
            with self.target.transaction() as within:
                found, is_filled = self._claims.find(within, output), self._layout.has_rows(within, output)
        is_mine = found is not None and self._claims.is_owner(found) and not self._in_place
        return OutputState(identity, found.published_by if found is not None and is_mine else None, is_filled)

    def describe(self) -> str:
        """The database and the table."""
        return self._place

    def close(self) -> None:
        """Close the connection; a transaction that is open is given up."""
        self.target.close()

    @property
    def _place(self) -> str:
        return f"{self.place}, table {self.default_destination_id}"

    def _prepare_in_place(self, resume: "ResumePoint") -> None:
        self._open(resume)
        if resume.partition is None:
            self._take_over(resume)
        else:
            self._take_part(resume)
            self._layout.write_as(resume.partition)
        with self.target.transaction() as within:
            self._check(within)
            self._layout.trim_in_place(within, resume.last_iteration)

    def _open(self, resume: "ResumePoint") -> None:
        output, self._resume = self.default_destination_id, resume
        suffix, self._claimed = _SUFFIXES.get(self.write_mode, ""), output
        self._stagings = Stagings(self.target, self._layout, self._claims, output, suffix, resume)
        self._set_up(output)
        with self.target.transaction() as within:
            self._claim, self._filled = self._claims.find(within, output), self._layout.has_rows(within, output)
        self._claims.check_owner(self._claim, output, has_rows=self._filled, adopt=resume.adopt)

    def _has_own_rows(self) -> bool:
        claim = self._claim
        return self._filled and claim is not None and self._claims.is_owner(claim) and claim.published_by is not None

    def _take_over(self, resume: "ResumePoint") -> None:
        output = self.default_destination_id
        with self.target.transaction() as within:
            self._claim = self._claims.take(within, output, resume, has_rows=self._layout.has_rows(within, output))
        if resume.parts:
            self._staging = self._stagings.united()
        elif not self._in_place:
            self._staging = self._table = self._stagings.own()

    def _take_part(self, resume: "ResumePoint") -> None:
        def may_pass(error: Exception) -> bool:
            return isinstance(error, self.driver.IntegrityError) or self.is_transient(error)

        self._claim, part = self._stagings.take_part(resume.partition or 0, may_pass)
        self._staging, self._table, self._claimed = part, part, part.name

    def _is_published(self) -> bool:
        with self.target.transaction() as within:
            found = self._claims.find(within, self.default_destination_id)
        return found is not None and self._claims.is_owner(found) and found.published_by == self.sync_metadata.job_id

    @contextmanager
    def _fenced(self) -> Iterator[None]:
        """The step within checks the claim again in its transaction, or drops staging that is done."""
        with self.target.transaction() as within:
            self._check(within)
        yield

    def _trim(self, resume: "ResumePoint") -> None:
        self._stagings.begin(self._claim)
        self._table.create(self._check)
        with self.target.transaction() as within:
            self._check(within)
            self._table.trim(within, resume.last_iteration)

    def _check(self, within: "Transaction") -> None:
        """Lock the claim of this start: to the output, or of a worker to its part."""
        self._claims.check(within, self._claimed, self._resume)

    def _publish(self, mode: WriteMode) -> None:
        output = self.default_destination_id
        if isinstance(self._staging, UnitedStaging):
            self._staging.gather(self.target, self._check)
        with self.target.transaction() as within:
            self._claims.check(within, output, self._resume)
            self._layout.publish(within, output, self._staging, mode)
            self._claims.note_published(within, output, self._resume.job_id)

    def _note_published(self) -> None:
        """The transaction of ``_publish`` has done it."""

    def _discard(self) -> None:
        self._staging.drop()
        self._stagings.end()

    @contextmanager
    def _explained(self, step: Step) -> Iterator[None]:
        try:
            with self._step():
                yield
        except self.driver.Error as error:
            text, may_pass = f"{self.place}: {self.text_of(error)}", self.is_transient(error)
            raise DestinationWriteError(text, retryable=may_pass) from error

    def _step(self) -> AbstractContextManager[None]:
        """Within: one step of the protocol, with its transactions. Override it to hold something only for a step."""
        return nullcontext()

    @cached_property
    def target(self) -> SqlTarget:
        """The connection of the run, which opens when a transaction begins."""
        return SqlTarget(self.driver, self.connect, self.dialect)

    @cached_property
    def _claims(self) -> Claims:
        knows = self.backend.get_stream_job_by_id
        return Claims(self.sync_metadata.owner, lambda job_id: knows(job_id) is not None, self.presence)

    @cached_property
    def _layout(self) -> "TableLayout":
        return SixColumns(self, self.sync_metadata.owner.mark, self.sync_metadata.job_id)

    @cached_property
    def _known(self) -> set[str]:
        return set()

    def _set_up(self, output: str) -> None:
        """Create the tables that are missing, each in a transaction by itself: its DDL may commit by itself."""
        if output in self._known:
            return
        with self.target.transaction() as within:
            self._claims.create(within, self.dialect)
        self._layout.set_up(output, in_place=self._in_place)
        self._known.add(output)
