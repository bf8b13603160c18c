"""Typed tables of a destination that writes to BigQuery, as a reader finds them."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

from google.cloud.bigquery import SchemaField

from bizon.connectors.destinations.bigquery.src.column_config import BigQueryRecordSchemaConfig
from bizon.connectors.destinations.bigquery.src.inferred_types import DECIMALS, kind_of
from bizon.connectors.destinations.bigquery.src.planning import NAMES
from bizon.testing.tables import TableConformance

if TYPE_CHECKING:
    from bigquery import Warehouse

_SMALL = "the emulator keeps 38 digits of a BIGNUMERIC, 18 behind the point; test_bigquery_inferred.py has the values"


class TablesInWarehouse(TableConformance):
    """The rules of typed tables. Its ``config`` sets ``warehouse``, and writes to the table ``items``."""

    names = NAMES
    keeps_json = False
    keeps_numbers = False
    decimals = tuple(map(str, DECIMALS))
    not_here: ClassVar[Mapping[str, str]] = {"an integer of 30 digits": _SMALL, "a decimal of 30 digits": _SMALL}
    exactly_once_in_stream = False
    has_views = True
    warehouse: "Warehouse"

    def build(self, *arguments: Any) -> Any:
        """The suite declares columns as most destinations do."""
        metadata, config, *others = arguments
        schemas = [schema.model_dump() for schema in config.record_schemas or ()]
        ours = [BigQueryRecordSchemaConfig.model_validate(schema) for schema in schemas] or None
        return super().build(metadata, config.model_copy(update={"record_schemas": ours}), *others)

    def rows(self, config: Any) -> Sequence[dict[str, Any]]:
        """JSON is its text."""
        fields = self.fields()
        read = [SchemaField(each.name, "STRING") if each.field_type == "JSON" else each for each in fields]
        found = self.warehouse.client.list_rows(self.warehouse.table("items"), selected_fields=read) if fields else ()
        return [{name: _aware(value) for name, value in row.items()} for row in found]

    def types(self, config: Any) -> Mapping[str, str]:
        return {field.name: str(kind_of(field)) for field in self.fields()}

    def view(self, config: Any) -> Callable[[], Sequence[str]]:
        seen, items = (f"`{self.warehouse.project}.{self.warehouse.dataset}.{name}`" for name in ("seen", "items"))
        self.warehouse.ask(f"CREATE VIEW {seen} AS SELECT _source_record_id FROM {items}")
        return lambda: [str(row[0]) for row in self.warehouse.client.query(f"SELECT * FROM {seen}").result()]

    def fields(self) -> Sequence[SchemaField]:
        """The columns of the table; none when there is no table."""
        return self.warehouse.table("items").schema if "items" in self.warehouse.tables() else ()


def _aware(value: Any) -> Any:
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value
