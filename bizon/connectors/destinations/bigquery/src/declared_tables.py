"""The tables of a run: what the configuration declares, under the names that the columns have in the tables."""

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

from google.cloud import bigquery

from bizon.common.errors.errors import DestinationConnectionError
from bizon.connectors.destinations.bigquery.src.column_config import SIX_COLUMNS, BigQueryRecordSchemaConfig
from bizon.connectors.destinations.bigquery.src.merging import merged
from bizon.connectors.destinations.bigquery.src.schema import as_there, declared_schema, record_schema, renamed
from bizon.connectors.destinations.bigquery.src.tables import Target

if TYPE_CHECKING:
    from bizon.connectors.destinations.bigquery.src.config import BigQueryFamilyDetails


class DeclaredTables:
    """The tables of one run. ``find``: the table of a name, None if there is none. ``data_type`` and ``mode``: of the
    columns where records are not unnested."""

    def __init__(
        self,
        config: "BigQueryFamilyDetails",
        find: Callable[[str], bigquery.Table | None],
        data_type: str,
        mode: str,
    ) -> None:
        self._config = config
        self._find = find
        self._record = (data_type, mode)
        self._targets: dict[str, Target] = {}
        self._schemas: dict[str, BigQueryRecordSchemaConfig | None] = {}

    @property
    def known(self) -> Collection[str]:
        """The tables that were asked for."""
        return self._targets.keys()

    def target(self, table: str) -> Target:
        """A table as it should be. Raises DestinationConnectionError when ``unnest`` has no columns for it."""
        if table not in self._targets:
            found = self._declared(table)
            there = self._find(table)
            fields = () if there is None else there.schema
            if found is None:
                schema = renamed(record_schema(*self._record), fields)
                target = Target(table, schema, self._clustering(table))
            else:
                found = found.model_copy(update={"record_schema": as_there(found.record_schema, fields)})
                target = Target(table, declared_schema(found.record_schema), found.clustering_keys or None)
            self._schemas[table], self._targets[table] = found, target
        return self._targets[table]

    def schema_of(self, table: str) -> BigQueryRecordSchemaConfig | None:
        """The declared columns of a table, under the table's names for them; None when records are not unnested."""
        self.target(table)
        return self._schemas[table]

    def widened(self, table: str, final: bigquery.Table | None) -> Target:
        """A table with the columns of ``final``, and those that it lacks."""
        target = self.target(table)
        return target if final is None else target._replace(schema=merged(final.schema, target.schema, final.table_id))

    def _declared(self, table: str) -> BigQueryRecordSchemaConfig | None:
        if not self._config.unnest:
            return None
        found = self._schemas_of_tables()
        if table not in found:
            raise DestinationConnectionError(
                f"`unnest` needs an entry in `record_schemas` for '{table}'; there are: {', '.join(found)}"
            )
        return found[table]

    def _clustering(self, table: str) -> list[str] | None:
        """The clustering columns of a table that is not unnested."""
        found = self._schemas_of_tables().get(table)
        return [key for key in (found and found.clustering_keys) or () if key in SIX_COLUMNS] or None

    def _schemas_of_tables(self) -> dict[str, BigQueryRecordSchemaConfig]:
        schemas: Sequence[BigQueryRecordSchemaConfig] = self._config.record_schemas or ()
        return {self._config.table_of(schema.destination_id): schema for schema in schemas}
