"""The tables of a run whose columns follow the records. The table itself says which columns it has."""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TYPE_CHECKING

import polars as pl
from google.cloud import bigquery

from bizon.connectors.destinations.bigquery.src.growth import grown
from bizon.connectors.destinations.bigquery.src.inferred_types import field_of, kind_of, kinds_of
from bizon.connectors.destinations.bigquery.src.planning import planner_of
from bizon.connectors.destinations.bigquery.src.tables import Target
from bizon.connectors.destinations.bigquery.src.typed_values import TypedRows
from bizon.destination.column_names import RESERVED, folded
from bizon.destination.system_columns import ID, SYSTEM_COLUMNS
from bizon.destination.typed_outputs import TypedOutputs

if TYPE_CHECKING:
    from bizon.connectors.destinations.bigquery.src.config import BigQueryFamilyDetails
    from bizon.destination.column_types import ColumnType
    from bizon.destination.models import CommittedBatch
    from bizon.destination.typed_batch import Plan, There

Fields = Sequence[bigquery.SchemaField]


class InferredTables(TypedOutputs):
    """The tables of one run, by full id. ``find``: the table of a name, None if there is none. A table is seen
    before anything else."""

    def __init__(self, config: "BigQueryFamilyDetails", find: Callable[[str], bigquery.Table | None]) -> None:
        self._find = find
        self._schemas = {config.table_of(schema.destination_id): schema for schema in config.record_schemas or ()}
        super().__init__(planner_of(config))
        self._there: dict[str, Fields] = {}

    @property
    def known(self) -> Collection[str]:
        """The tables that have begun."""
        return self._columns.keys()

    def see(self, table: str, found: bigquery.Table | None, committed: "Iterable[CommittedBatch]" = ()) -> None:
        """The table as it is when the run starts, None if there is none; with the columns of staged batches that
        count."""
        self._there[table] = () if found is None else found.schema
        self.resume(table, kinds_of(self._there[table]), committed)

    def see_again(self, table: str, found: bigquery.Table) -> None:
        """The table as it is now."""
        self._there[table] = found.schema
        self.look_again(table, kinds_of(found.schema))

    def followed(self, table: str, there: Fields) -> "There":
        """The columns that are known of a table, with the types to which others have widened them. ``there``: the
        columns of the staging table that they share."""
        return self.follow(table, kinds_of(there))

    def target(self, table: str) -> Target:
        """A table as it should be, by what is known of it."""
        if not self.has_begun(table):
            self.see(table, self._find(table))
        schema, known = self._schemas.get(table), self._columns[table]
        described = {column.name: column.description for column in (schema.record_schema if schema else ())}
        required = {each.name for each in self._there[table] if each.mode == "REQUIRED"}
        called = self._called(table)
        columns = {**{called[name]: kind for name, kind in SYSTEM_COLUMNS.items()}, **known}
        fields = [
            field_of(name, kind, described.get(name), required=name in required)
            for name, kind in columns.items()
            if kind is not None
        ]
        clustering = getattr(schema, "clustering_keys", None) or None
        return Target(table, fields, clustering, infers=True)

    def widened(self, table: str, final: bigquery.Table | None) -> Target:
        """A table with the columns of ``final``, and those that it lacks."""
        target = self.target(table)
        return target if final is None else target._replace(schema=grown(final.schema, target.schema, final.table_id))

    def typed(self, table: str, rows: pl.DataFrame, there: Callable[[], Fields]) -> TypedRows:
        """The rows of a batch. ``there``: the columns of the table that receives them; it may have more than are known,
        from batches that do not count: a new column has the type that it has there. Raises RowsRejectedError."""
        plan = self.plan(table, rows)
        if plan.add and (taken := _taken(plan, there())):
            self._columns[table] = {**self._columns[table], **taken}
            plan = self.plan(table, rows)
        self.keep(table, plan)
        named = self._called(table)
        kinds = {**{named[name]: kind for name, kind in SYSTEM_COLUMNS.items()}, **plan.after}
        frame = plan.frame.rename(named)
        known = {name: kind for name in frame.columns if (kind := kinds[name]) is not None}
        fields = [field_of(name, kind) for name, kind in known.items()]
        return TypedRows(frame, known, fields, named[ID], grows=bool(plan.add or plan.widen))

    def _called(self, table: str) -> dict[str, str]:
        """The names that a table has for our columns: BigQuery's are the same in any case."""
        there = {name.lower(): name for name in (field.name for field in self._there[table])}
        return {name: there.get(name, name) for name in SYSTEM_COLUMNS}

    def _required(self, output: str) -> Sequence[str]:
        """The columns that the owner of a table wants a value for in every row."""
        own = (each.name for each in self._there[output] if each.mode == "REQUIRED" and kind_of(each) is not None)
        return [name for name in own if not folded(name).startswith(RESERVED)]


def _taken(plan: "Plan", there: Fields) -> "dict[str, ColumnType | None]":
    """The columns that exist already, of another type or spelling than planned."""
    planned = {folded(column.name): (column.name, column.type) for column in plan.add}
    found = kinds_of(there).items()
    return {name: kind for name, kind in found if planned.get(folded(name), (name, kind)) != (name, kind)}
