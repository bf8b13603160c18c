"""Destinations with typed tables in a SQL database: everything but the engine.

The protocol and the fence are in ``sql_table.py``. A batch goes this way:

1. Its records get their types (``typed.py``), and the columns that its table lacks are found (``table_schema.py``).
   Nothing is locked meanwhile.
2. In one transaction: the claim is checked; the catalogue is read, and step 1 repeated if it says that somebody has
   changed the table; columns are added and widened; the rows are loaded. The table is the staging table of the job, or,
   in sync mode stream, the output itself, with a row in ``_bizon_commits``.
3. The values that had no room in their column are counted.

Publication is one transaction, too: the output gets the columns of staging, and its rows.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import polars as pl

from bizon.common.errors.errors import DestinationConnectionError
from bizon.destination.column_names import NameRules
from bizon.destination.column_types import ColumnType, column_type
from bizon.destination.columns import frame_type
from bizon.destination.commits import Commits
from bizon.destination.rescue_tally import RescueTally
from bizon.destination.sql_table import SqlTableDestination
from bizon.destination.typed_batch import Planner
from bizon.destination.typed_config import Deletes, Naming, TypedTableDetailsConfig
from bizon.destination.typed_layout import TypedColumns
from bizon.destination.typed_rows import Keys, TypedRows

if TYPE_CHECKING:
    from bizon.destination.config import DestinationColumn
    from bizon.destination.merge_rule import MergeInto
    from bizon.destination.sql_layout import TableLayout
    from bizon.destination.sql_target import Transaction
    from bizon.destination.type_names import TypeNames
    from bizon.destination.typed_rows import Rows


class TypedTableDestination(SqlTableDestination):
    """A table with a column for each key of the records; the six columns with ``unnest: false``. Exactly once in every
    sync mode. No value is lost or changed: what does not fit its column is in ``_bizon_rescued``.

    A subclass sets ``driver``, ``dialect``, ``types`` and ``names``; it writes ``connect``, ``place`` and
    ``columns_of``, and overrides ``merge_into``, ``load``, ``swap`` and ``read`` where it can do better. The promise of
    each is in ``TypedTables`` (``typed_tables.py``). DDL is part of transactions, so an engine whose DDL commits by
    itself cannot be one.
    """

    config: TypedTableDetailsConfig
    types: ClassVar["TypeNames"]
    """The names of the engine's types."""
    names: ClassVar[NameRules] = NameRules()
    """The names that the engine takes for columns."""
    most_columns: ClassVar[int | None] = None
    """Columns of a table besides the columns of bizon; None: any number."""
    staging_kind: ClassVar[str] = "TABLE"
    _rescued = 0

    @property
    def infers_columns(self) -> bool:
        """Unless each record is one column."""
        return self.config.unnest

    @property
    def merge_into(self) -> "MergeInto | None":
        """The merge of the engine. None: ``write_mode: merge`` is refused."""
        return None

    @abstractmethod
    def columns_of(self, within: "Transaction", table: str) -> Mapping[str, ColumnType | None]:
        """The columns of a table, by name, in order, as the catalogue has them now; empty when there is no table."""

    def sql_type(self, column: ColumnType) -> str:
        """The type of a new column, as SQL."""
        return self.types.sql(column)

    def swap(self, within: "Transaction", staging: str, output: str) -> bool:
        """Put a staging table in the place of the output. False: the rows are copied instead, which suits every engine,
        and loses nothing that depends on the output."""
        return False

    def read(
        self, within: "Transaction", table: str, columns: Mapping[str, ColumnType], where: Mapping[str, int]
    ) -> pl.DataFrame:
        """The rows of a table whose columns have the values ``where``. By default as the driver returns them, or, with
        ``moments_as_text`` of the dialect, read from their text."""
        names = {f"c{number}": name for number, name in enumerate(columns)}
        filters = {f"w{number}": name for number, name in enumerate(where)}
        listed, tests = ", ".join(f"{{{key}}}" for key in names), " AND ".join(f"{{{key}}} = ?" for key in filters)
        query = f"SELECT {listed} FROM {{table}} WHERE {tests}"
        rows = within.rows(query, *where.values(), table=table, **names, **filters)
        return self.dialect.frame(rows, {name: frame_type(column) for name, column in columns.items()})

    def check_connection(self) -> bool:
        """True, or raises DestinationConnectionError: the database is unreachable, no table can be created in it, or
        bizon did not create the table."""
        if self.config.is_merged and self.merge_into is None:
            raise DestinationConnectionError(f"{self.place}: this destination has no `write_mode: merge`")
        return super().check_connection()

    def write_records(self, df_destination_records: pl.DataFrame) -> tuple[bool, str | None]:
        """Write one batch in one transaction. The same batch written again replaces the first write. Raises
        RowsRejectedError for records that are not JSON objects, that lack their key, or, with ``schema_mode: strict``,
        that do not fit."""
        answer = super().write_records(df_destination_records)
        written: Rows | None = getattr(self._layout if self._in_place else self._table, "written", None)
        if written is not None:  # there are columns
            plan = written.plan
            self.tally.note(self.destination_id, plan.rescued, plan.refused)
            self.tally.note_version(self.destination_id, written.unversioned)
            self._rescued = sum(plan.rescued.values())
        return answer

    def rescued(self) -> int:
        """The values of the last batch that are in ``_bizon_rescued``."""
        return self._rescued

    @cached_property
    def tally(self) -> RescueTally:
        """The values of this run that are in ``_bizon_rescued``."""
        return RescueTally()

    @cached_property
    def _layout(self) -> "TableLayout":
        config, owner = self.config, self.sync_metadata.owner.mark
        if not config.unnest:
            return super()._layout
        rules = replace(self.names, snake_case=True) if config.naming is Naming.SNAKE_CASE else self.names
        declared = {table: _types(columns) for table, columns in self.record_schemas.items()}
        planner = Planner(rules, config.schema_mode, config.flatten, self.most_columns, declared)
        commits = Commits(owner, self.sync_metadata.job_id, merged=config.is_merged)
        return TypedColumns(self, TypedRows(planner, self._keys), commits, config.verify)

    @property
    def _keys(self) -> Keys | None:
        config = self.config
        if not config.is_merged:
            return None
        version = config.version or self.sync_metadata.cursor_field
        removes = config.deletes is Deletes.REMOVE
        return Keys(config.primary_key or (), version, config.deleted_field, removes, config.tombstone_days)


def _types(columns: "Sequence[DestinationColumn]") -> dict[str, ColumnType]:
    return {column.name: column_type(column.type) for column in columns}
