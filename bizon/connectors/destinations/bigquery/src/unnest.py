"""From JSON text to the values of declared columns; what does not fit names record and column."""

from typing import Any

import polars as pl
from loguru import logger

from bizon.common.errors.errors import RowsRejectedError
from bizon.common.exact_json import loads_exact
from bizon.connectors.destinations.bigquery.src.config import BigQueryRecordSchemaConfig
from bizon.connectors.destinations.bigquery.src.values import MisfitError, converter


class Unnester:
    """Columns of one table. A missing key becomes null; a key that the schema does not have is dropped, with one
    warning per run."""

    def __init__(self, schema: BigQueryRecordSchemaConfig) -> None:
        self._table = schema.destination_id
        self._convert = {column.name: converter(column) for column in schema.record_schema}
        self._dropped: set[str] = set()

    def rows(self, frame: pl.DataFrame) -> list[dict[str, Any]]:
        """The values of each record of a destination frame, see ``values.converter``. Raises RowsRejectedError."""
        rows: list[dict[str, Any]] = []
        reasons: dict[int, str] = {}
        for position, (text, record_id) in enumerate(zip(frame["source_data"], frame["source_record_id"], strict=True)):
            try:
                record = _object(text)
                rows.append({name: convert(record.get(name)) for name, convert in self._convert.items()})
            except MisfitError as error:
                reasons[position] = f"record '{record_id}' of '{self._table}': {error}"
            else:
                self._warn_of(record.keys() - self._convert.keys())
        if reasons:
            raise RowsRejectedError(reasons)
        return rows

    def _warn_of(self, unknown: set[str]) -> None:
        if unknown and not self._dropped:
            self._dropped = unknown
            names = ", ".join(sorted(unknown))
            logger.warning(f"keys that `record_schemas` of '{self._table}' does not have are dropped: {names}")


def _object(text: str) -> dict[str, Any]:
    try:
        record = loads_exact(text)
    except ValueError as error:
        raise MisfitError(f"is no JSON: {error}") from None
    if not isinstance(record, dict):
        raise MisfitError("is no JSON object")
    return record
