"""From JSON text to the values of declared columns; a misfit names record and column."""

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Never

import polars as pl

from bizon.common.errors.errors import RowsRejectedError
from bizon.common.safe_log import logger
from bizon.connectors.destinations.bigquery.src.keys import Keys
from bizon.connectors.destinations.bigquery.src.misfits import MisfitError
from bizon.connectors.destinations.bigquery.src.values import converter
from bizon.rows.exact_json import loads_exact

if TYPE_CHECKING:
    from bizon.connectors.destinations.bigquery.src.column_config import BigQueryRecordSchemaConfig


class Unnester:
    """Columns of one table. A missing key becomes null. A key that the schema does not have, in any case, is dropped,
    with one warning per run.

    This is the one place where a record meets its columns: any fault here refuses that record, and nothing else.
    """

    def __init__(self, schema: "BigQueryRecordSchemaConfig") -> None:
        self._table = schema.destination_id
        self._convert = {column.name: converter(column) for column in schema.record_schema}
        self._keys = Keys(self._convert)
        self._has_warned = False

    def rows(self, frame: pl.DataFrame) -> list[dict[str, Any]]:
        """The values of each record of a destination frame, see ``values.converter``. Raises RowsRejectedError."""
        rows: list[dict[str, Any]] = []
        reasons: dict[int, str] = {}
        for position, (text, record_id) in enumerate(zip(frame["source_data"], frame["source_record_id"], strict=True)):
            try:
                rows.append(self._row(text))
            except MisfitError as error:
                reasons[position] = f"record '{record_id}' of '{self._table}': {error}"
            except Exception as error:  # noqa: BLE001 - one record must not stop the others
                reasons[position] = (
                    f"record '{record_id}' of '{self._table}' does not fit its columns: {type(error).__name__}"
                )
        if reasons:
            raise RowsRejectedError(reasons)
        return rows

    def _row(self, text: str) -> dict[str, Any]:
        record = self._keys.by_column(_object(text))
        if not self._has_warned:
            self._warn_of(self._keys.unknown(record))
        return {name: convert(record.get(name)) for name, convert in self._convert.items()}

    def _warn_of(self, unknown: set[str]) -> None:
        if unknown:
            self._has_warned = True
            names = ", ".join(sorted(unknown))
            logger.warning(f"keys that `record_schemas` of '{self._table}' does not have are dropped: {names}")


def _object(text: str) -> dict[str, Any]:
    try:
        record = _decoded(text)
    except ValueError as error:
        raise MisfitError(f"is not valid JSON: {error}") from None
    if not isinstance(record, dict):
        raise MisfitError("is not a JSON object")
    return record


def _decoded(text: str) -> Any:
    try:
        return loads_exact(text)
    except ValueError:  # valid JSON may have numbers that no float holds, as 1E+400
        return json.loads(text, parse_float=Decimal, parse_constant=_refuse)


def _refuse(constant: str) -> Never:
    raise ValueError(f"{constant} is not JSON")
