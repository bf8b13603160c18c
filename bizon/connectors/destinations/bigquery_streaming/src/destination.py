"""The ``bigquery_streaming`` destination: tabledata.insertAll inserts the rows."""

import time
from collections.abc import Mapping
from functools import cached_property, partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import polars as pl
from google.api_core import exceptions

from bizon.common.errors.errors import RowsRejectedError
from bizon.common.safe_log import logger
from bizon.common.waiting import back_off
from bizon.connectors.destinations.bigquery.src.base import BigQueryFamilyDestination
from bizon.connectors.destinations.bigquery.src.json_rows import load_line
from bizon.connectors.destinations.bigquery.src.loads import appending
from bizon.connectors.destinations.bigquery_streaming.src.insert_errors import is_unknown_field, refused_rows
from bizon.connectors.destinations.bigquery_streaming.src.insert_rows import ROW_BYTES, InsertRows, Row, packed
from bizon.connectors.destinations.bigquery_streaming.src.typed_insert_rows import typed_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from bizon.connectors.destinations.bigquery.src.landed import Confirmed
    from bizon.connectors.destinations.bigquery.src.tables import Target
    from bizon.connectors.destinations.bigquery_streaming.src.config import BigQueryStreamingConfigDetails
    from bizon.destination.models import ResumePoint

    Build = Callable[[pl.DataFrame], list[Row]]

_SETTLING = 120.0  # seconds until insertAll knows a new table or column
_PAUSE = 2.0  # seconds between tries until then
_POSITION = attrgetter("position")


class BigQueryStreamingDestination(BigQueryFamilyDestination):
    """At least once, in every sync mode: rows go to the table at once, also in a full refresh, and nothing is staged. A
    batch that is written again has the same row ids, by which BigQuery skips rows it has seen within the last minute or
    so; a run that was killed and starts later than that writes its last batch twice.

    Rows above 0.9 MB go by load job, one per batch.
    """

    config: "BigQueryStreamingConfigDetails"
    data_type, mode = "JSON", "REQUIRED"

    _replaces = False
    _made_at = float("-inf")

    def prepare(self, resume: "ResumePoint") -> None:
        """Create or check the table; nothing is staged. An existing table has to be partitioned as configured."""
        super().prepare(resume)
        if not self._is_stream:
            with self._writing(f"table '{self.default_destination_id}'"):
                self._ensured(self.default_destination_id)

    def finalize(self) -> bool:
        """Note which job was the last; its rows are in the table."""
        if not self._is_stream:
            table = self.default_destination_id
            with self._writing(f"table '{table}'"):
                self._mark_published()
        return True

    def receipt(self) -> Mapping[str, Any] | None:
        """The columns that the last batch has added or widened; None in sync mode stream."""
        if self._is_stream or self._inferred is None:
            return None
        return self._inferred.receipt(self.default_destination_id) or None

    def write_records(self, df_destination_records: pl.DataFrame) -> tuple[bool, str | None]:
        """Insert one batch. Raises RowsRejectedError for rows that BigQuery refuses."""
        table = self._table_of_rows(df_destination_records.height)
        if not self._is_stream and (reason := self._one_table(table)) is not None:
            return False, reason
        with self._writing(f"table '{table}'"):
            with self._rejecting(df_destination_records.height):
                build = self._builder(table, df_destination_records)
            append = partial(self._append, self._target(table), build)
            self._landed.write((table, self.batch), df_destination_records, append)
        return True, None

    def _builder(self, table: str, rows: pl.DataFrame) -> "Build":
        """Returns a function that makes the rows of requests from rows of the batch; the table has their columns."""
        if self._inferred is not None:
            typed = self._typed(self._inferred, table, rows)
            if typed.grows:
                self._made_at = time.monotonic()
            return partial(typed_rows, typed)
        target = self._ensured(table)
        if table not in self._rows:
            self._rows[table] = InsertRows(self._declared.schema_of(table), target.schema)
        return self._rows[table].build

    def _append(self, target: "Target", build: "Build", frame: pl.DataFrame, confirmed: "Confirmed") -> None:
        """Insert rows, request by request. A request with a refused row inserts none of its rows."""
        rows = build(frame)
        reasons: dict[int, str] = {}
        for number, request in enumerate(packed(rows, self.config.bq_max_rows_per_request)):
            refused = self._insert(target, request)
            if refused:
                reasons.update(refused)
            else:
                confirmed.append(map(_POSITION, request))
            logger.trace(f"bigquery: request {number} of {len(request)} rows")
        if reasons:
            raise RowsRejectedError(reasons)
        self._load(target, [row for row in rows if row.size > ROW_BYTES])

    def _insert(self, target: "Target", request: list[Row]) -> dict[int, str]:
        """Insert the rows of a request, or return why some are refused, by position. Waits until BigQuery knows a new
        table or column."""
        patience = self._made_at + _SETTLING - time.monotonic()
        for attempt in back_off(_PAUSE, _PAUSE, patience=patience):
            try:
                errors = self._tables.insert(
                    target.table_id, [row.json for row in request], [row.id for row in request]
                )
            except exceptions.NotFound:
                if attempt.is_last:
                    raise
            else:
                if not errors:
                    return {}
                is_late = self._inferred is not None or is_unknown_field(errors)  # inferred values fit their columns
                if attempt.is_last or not is_late:
                    return refused_rows(request, errors, target.table_id)
        raise AssertionError("back_off ends with its last attempt")

    def _load(self, target: "Target", rows: list[Row]) -> None:
        """Load rows that are too large for a request, by a job that is done once for this batch."""
        if not rows:
            return
        content = b"".join(load_line(row.json, target.schema) for row in rows)
        batch = f"{self._epoch}_{self.batch.from_iteration}_{self.batch.to_iteration}"
        name = f"bizon_{self.sync_metadata.job_id}_large_{batch}_{target.table_id.replace('.', '_')}"
        self._jobs.load_content(name, content, target.table_id, appending("json", target))

    def _ensured(self, table: str) -> "Target":
        target = self._target(table)
        if self._finals.ensure(target):
            self._made_at = time.monotonic()
        return target

    @cached_property
    def _rows(self) -> dict[str, InsertRows]:
        return {}
