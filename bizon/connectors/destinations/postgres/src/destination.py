"""Typed tables in PostgreSQL, exactly once in every sync mode."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING

import polars as pl
import psycopg

from bizon.common.errors.errors import DestinationConnectionError, TableRefusedError
from bizon.connectors.destinations.postgres.src import catalogue
from bizon.connectors.destinations.postgres.src.config import LONGEST_NAME, PostgresDetailsConfig, checked_name
from bizon.connectors.destinations.postgres.src.connection import BoundConnection, connect
from bizon.connectors.destinations.postgres.src.copying import copy_text, frame_of
from bizon.connectors.destinations.postgres.src.errors import explained, is_transient, lost_a_race, waited_in_vain
from bizon.connectors.destinations.postgres.src.locks import locked
from bizon.connectors.destinations.postgres.src.presence import SessionPresence
from bizon.connectors.destinations.postgres.src.reading import PostgresReader, reading
from bizon.connectors.destinations.postgres.src.types import TYPES
from bizon.destination.column_names import NameRules
from bizon.destination.merging import merge_of, postgres_merge, run, unusable
from bizon.destination.system_columns import REMOVED_AT
from bizon.destination.typed_table import TypedTableDestination

if TYPE_CHECKING:
    from bizon.destination.column_types import ColumnType
    from bizon.destination.merge_rule import MergeInto, MergeRule
    from bizon.destination.sql_target import Transaction

_MOST_RACES = 5
_MOST_COLUMNS = 1500  # of the 1,600 that a table may ever have, dropped ones included


class PostgresDestination(TypedTableDestination):
    """Tables of a PostgreSQL database. Staging tables are logged ones: a crash of the server empties the others, and
    with them batches that have a checkpoint."""

    config: PostgresDetailsConfig
    driver = psycopg
    single_writer = False
    types = TYPES
    names = NameRules(LONGEST_NAME, "bytes")
    most_columns = _MOST_COLUMNS
    _session = 0
    """The process id of the session of the last connection."""

    @property
    def place(self) -> str:
        """Server, database and schema."""
        config = self.config
        return f"postgresql://{config.host}:{config.port}/{config.database}, schema {config.schema_name}"

    @property
    def merge_into(self) -> "MergeInto":
        """INSERT with ON CONFLICT: the merge creates the unique index that it needs."""
        return self._merge_rows

    def connect(self) -> BoundConnection:
        """A new connection."""
        made = connect(self.config)
        self._session = made.info.backend_pid
        self.presence.renew(made)
        return made

    @cached_property
    def presence(self) -> SessionPresence:
        """An advisory lock of the session."""
        return SessionPresence()

    def is_transient(self, error: Exception) -> bool:
        """By its SQLSTATE."""
        return is_transient(error)

    def text_of(self, error: Exception) -> str:
        """With a remedy; of a lock, with the table and the session that holds it."""
        text = explained(error, self.config)
        if not waited_in_vain(error):
            return text
        held = locked(
            self.config, list(dict.fromkeys((self.destination_id, self.default_destination_id))), self._session
        )
        return (
            f"{text}: {held}, and `lock_timeout` of {self.config.lock_timeout} s is over. Let it end, or end it with "
            f"pg_terminate_backend, or raise `lock_timeout`, and run again: the run resumes"
        )

    def columns_of(self, within: "Transaction", table: str) -> "Mapping[str, ColumnType | None]":
        """The columns of a table, which nobody changes until the transaction ends."""
        return catalogue.columns_of(within, self.config.schema_name, table)

    def load(self, within: "Transaction", table: str, frame: pl.DataFrame) -> None:
        """Copy the rows of a frame."""
        names = {f"c{number}": name for number, name in enumerate(frame.columns)}
        columns = ", ".join(f"{{{key}}}" for key in names)
        statement = within.spelled(f"COPY {{table}} ({columns}) FROM STDIN", table=table, **names)
        with within.cursor.copy(statement.replace("%%", "%")) as copy:  # without values, psycopg reads no % sign
            for text in copy_text(frame):
                copy.write(text)

    def read(
        self, within: "Transaction", table: str, columns: "Mapping[str, ColumnType]", where: Mapping[str, int]
    ) -> pl.DataFrame:
        """Copy the rows of a table."""
        names = {f"c{number}": name for number, name in enumerate(columns)}
        filters = {f"w{number}": name for number, name in enumerate(where)}
        listed, tests = ", ".join(f"{{{key}}}" for key in names), " AND ".join(f"{{{key}}} = ?" for key in filters)
        query = f"COPY (SELECT {listed} FROM {{table}} WHERE {tests}) TO STDOUT (FORMAT csv, FORCE_QUOTE *)"
        statement = within.spelled(query, table=table, **names, **filters)
        with within.cursor.copy(statement, tuple(where.values())) as copy:
            return frame_of(b"".join(map(bytes, copy)), columns)

    def swap(self, within: "Transaction", staging: str, output: str) -> bool:
        """Rename both tables, unless anything depends on the old one. Readers wait for the names at most."""
        schema = self.config.schema_name
        if catalogue.depends(within, schema, output):
            return False
        within.run("LOCK TABLE {output} IN ACCESS EXCLUSIVE MODE", output=output)
        if catalogue.depends(within, schema, output) or catalogue.depends(within, schema, staging):
            return False
        old = f"_bizon_old_{sha256(staging.encode()).hexdigest()[:16]}"
        within.run("ALTER TABLE {output} RENAME TO {old}", output=output, old=old)
        within.run("ALTER TABLE {staging} RENAME TO {output}", staging=staging, output=output)
        within.run("DROP TABLE {old}", old=old)
        return True

    def check_connection(self) -> bool:
        """True, or raises DestinationConnectionError: the database is unreachable or has another encoding than UTF-8,
        the role lacks rights, or bizon did not create the table."""
        self._check_name(self.default_destination_id)
        if not self.only_looks:
            return super().check_connection()
        try:
            with self.target.transaction() as within:
                catalogue.check_database(within, self.place, self.config)
                catalogue.find(within, self.config.schema_name, self.default_destination_id)
        except psycopg.Error as error:
            raise DestinationConnectionError(f"{self.place}: {self.text_of(error)}") from error
        return True

    @contextmanager
    def reading(self) -> Iterator[PostgresReader]:
        """Within: a transaction is open, which the server keeps read-only."""
        try:
            with reading(self.config, self.default_destination_id, self.place) as reader:
                yield reader
        except psycopg.Error as error:
            text = self.text_of(error) if waited_in_vain(error) else explained(error, self.config, reads=True)
            raise DestinationConnectionError(f"{self.place}: {text}") from error

    def write_records(self, df_destination_records: pl.DataFrame) -> tuple[bool, str | None]:
        """Write one batch in one transaction. The same batch written again replaces the first write. Raises
        RowsRejectedError for rows that name a table which this pipeline must not write."""
        with self._refusing(df_destination_records.height):
            self._check_name(self.destination_id)
        return super().write_records(df_destination_records)

    def _merge_rows(
        self, within: "Transaction", staging: str, output: str, columns: Sequence[str], rule: "MergeRule"
    ) -> None:
        types = {name: kind for name, kind in self.columns_of(within, output).items() if kind is not None}
        reason = unusable(types, rule.key, rule.version)
        if reason is not None:
            raise TableRefusedError(f"table '{output}' cannot be merged: {reason}")
        catalogue.ensure_key_index(within, self.config.schema_name, output, rule.key)
        if rule.tombstones is not None:
            catalogue.ensure_key_index(within, self.config.schema_name, rule.tombstones.name, rule.key, REMOVED_AT)
        run(within, postgres_merge(merge_of(staging, output, columns, rule)))

    def _check_name(self, table: str) -> None:
        try:
            checked_name(table)
        except ValueError as error:
            raise TableRefusedError(f"table '{table}' {error}: name it with `destination_id`") from None

    def _set_up(self, output: str) -> None:
        if output in self._known:
            return
        for attempt in range(_MOST_RACES):
            try:
                self._create_schema()
                super()._set_up(output)
                return
            except psycopg.Error as error:
                if not lost_a_race(error) or attempt == _MOST_RACES - 1:
                    raise

    def _create_schema(self) -> None:
        with self.target.transaction() as within:
            if not catalogue.check_database(within, self.place, self.config):
                within.run("CREATE SCHEMA IF NOT EXISTS {schema}", schema=self.config.schema_name)
