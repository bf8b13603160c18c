"""The ``bigquery_streaming_v2`` destination: the Storage Write API appends the rows."""

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING

import grpc
import polars as pl
from google.cloud.bigquery import SchemaField
from google.cloud.bigquery_storage_v1 import BigQueryWriteClient
from google.cloud.bigquery_storage_v1.services.big_query_write.transports import BigQueryWriteGrpcTransport

from bizon.common.errors.errors import DestinationConnectionError
from bizon.connectors.destinations.bigquery.src.staged_destination import BigQueryStagedDestination
from bizon.connectors.destinations.bigquery_streaming_v2.src.marked_staging import MarkedStaging
from bizon.connectors.destinations.bigquery_streaming_v2.src.messages import BATCH, Messages
from bizon.connectors.destinations.bigquery_streaming_v2.src.typed_messages import TypedMessages
from bizon.connectors.destinations.bigquery_streaming_v2.src.writer import TableWriter

if TYPE_CHECKING:
    from google.protobuf.descriptor_pb2 import DescriptorProto

    from bizon.connectors.destinations.bigquery.src.landed import Confirmed
    from bizon.connectors.destinations.bigquery.src.tables import Target
    from bizon.connectors.destinations.bigquery.src.typed_values import TypedRows
    from bizon.connectors.destinations.bigquery_streaming_v2.src.config import BigQueryStreamingV2ConfigDetails

_MB = 1_000_000
_Append = Callable[[str | None, pl.DataFrame, "Confirmed"], None]
"""Appends rows, with a mark in staging, and notes those that are confirmed."""


class BigQueryStreamingV2Destination(BigQueryStagedDestination):
    """Exactly once in sync modes full_refresh and incremental, at least once in stream.

    full_refresh and incremental: rows wait in ``{table}_temp`` or ``{table}_incremental``, each marked with the write
    that brought it, until ``finalize`` puts the rows that count into the table, by a query job that is done once.
    stream: rows go to their tables at once; a run that is killed between a write and its checkpoint writes the batch
    again, and a request whose answer was lost may be written twice, unless ``use_offsets`` is set.
    """

    config: "BigQueryStreamingV2ConfigDetails"
    data_type, mode = "JSON", "REQUIRED"

    _staging: MarkedStaging

    def check_connection(self) -> bool:
        """True, or raises DestinationConnectionError."""
        emulator = self.config.emulator
        if emulator is not None and emulator.write_endpoint is None:
            raise DestinationConnectionError("bigquery_streaming_v2: the block `emulator` needs a `write_endpoint`")
        return super().check_connection()

    def write_records(self, df_destination_records: pl.DataFrame) -> tuple[bool, str | None]:
        """Append one batch. Raises RowsRejectedError for rows that BigQuery refuses."""
        rows = df_destination_records.height
        table = self._table_of_rows(rows)
        if not self._in_place and (reason := self._one_table(table)) is not None:
            return False, reason
        with self._writing(f"table '{table}'"):
            with self._rejecting(rows):
                append = self._append_to(table, df_destination_records)
            if self._in_place:
                self._landed.write((table, self.batch), df_destination_records, partial(append, None))
                return True, None
            append(self._staging.new_mark(), df_destination_records, [])
        return True, None

    def close(self) -> None:
        client = self.__dict__.pop("_write_client", None)
        if client is not None:
            client.transport.close()
        super().close()

    def _open_staging(self, wanted: "Target") -> MarkedStaging:
        staged = self._staged_target(wanted)
        return MarkedStaging(self._tables, self._claim, staged, wanted)

    def _staged_target(self, wanted: "Target") -> "Target":
        schema = [*wanted.schema, SchemaField(BATCH, "STRING")]
        return wanted._replace(table_id=self.temp_table_id, schema=schema, clustering=None)

    def _append_to(self, table: str, rows: pl.DataFrame) -> _Append:
        """Returns a function that appends the rows of a batch, or some of them, to a table that has their columns."""
        if self._inferred is not None:
            typed = self._typed(self._inferred, table, rows)
            return partial(_append_typed, *self._typed_writer(table, typed.fields), typed)
        if table not in self._writers:
            if self._in_place:
                target = self._target(table)
                self._finals.ensure(target)
            else:
                target = self._staging.table
            messages = Messages(target.schema, self._declared.schema_of(table))
            self._writers[table] = self._new_writer(target.table_id, messages.descriptor), messages
        return partial(_append, *self._writers[table])

    def _typed_writer(self, table: str, fields: Sequence[SchemaField]) -> tuple[TableWriter, TypedMessages]:
        """The writer of the last batch, unless this one has other columns."""
        wanted = [*fields] if self._in_place else [*fields, SchemaField(BATCH, "STRING")]
        writer, messages = self._typed_writers.get(table, (None, None))
        if writer is None or messages is None or messages.fields != wanted:
            messages = TypedMessages(wanted, None if self._in_place else BATCH)
            place = table if self._in_place else self.temp_table_id
            writer = self._new_writer(place, messages.descriptor, wanted)
            self._typed_writers[table] = writer, messages
        return writer, messages

    def _new_writer(
        self, table_id: str, descriptor: "DescriptorProto", fields: Sequence[SchemaField] = ()
    ) -> TableWriter:
        return TableWriter(
            self._write_client,
            table_id,
            descriptor,
            request_bytes=int(self.config.request_size * _MB),
            threads=self.config.max_concurrent_threads,
            offsets=not self._in_place or self.config.use_offsets,
            request_rows=self.config.bq_max_rows_per_request,
            fields=fields,
        )

    @cached_property
    def _writers(self) -> dict[str, tuple[TableWriter, Messages]]:
        return {}

    @cached_property
    def _typed_writers(self) -> dict[str, tuple[TableWriter, TypedMessages]]:
        return {}

    @cached_property
    def _write_client(self) -> BigQueryWriteClient:
        emulator = self.config.emulator
        if emulator is None or emulator.write_endpoint is None:
            return BigQueryWriteClient(credentials=self._clients.credentials)
        channel = grpc.insecure_channel(emulator.write_endpoint)
        return BigQueryWriteClient(transport=BigQueryWriteGrpcTransport(channel=channel))


def _append(
    writer: TableWriter, messages: Messages, mark: str | None, rows: pl.DataFrame, confirmed: "Confirmed"
) -> None:
    writer.write(messages.encode(rows, mark), confirmed)


def _append_typed(
    writer: TableWriter,
    messages: TypedMessages,
    typed: "TypedRows",
    mark: str | None,
    rows: pl.DataFrame,
    confirmed: "Confirmed",
) -> None:
    writer.write(messages.encode(typed.limited_to(rows), mark), confirmed)
