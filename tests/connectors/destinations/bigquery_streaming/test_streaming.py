"""The bigquery_streaming destination against the emulator: rows, requests, row errors, large rows, new columns."""

import json
from typing import TYPE_CHECKING, Any

import pytest
from destinations import MOMENT, InWarehouse, open_destination, rows_of

from bizon.common.errors.errors import RowsRejectedError
from bizon.connectors.destinations.bigquery_streaming.src.config import BigQueryStreamingConfig
from bizon.destination.models import ResumePoint
from bizon.source.config import SourceSyncModes

if TYPE_CHECKING:
    from bigquery import Warehouse


def config_of(warehouse: "Warehouse", columns: list[dict[str, Any]] | None = None, **keys: Any) -> Any:
    block: dict[str, Any] = {**warehouse.keys, "destination_id": "items", **keys}
    if columns is not None:
        block |= {"unnest": True, "record_schemas": [{"destination_id": "items", "record_schema": columns}]}
    return BigQueryStreamingConfig(name="bigquery_streaming", config=block)


def write(config: Any, records: list[dict[str, Any]], first: int = 0, mode: str = "stream") -> None:
    with open_destination(config, mode, "job") as destination:
        assert destination.check_connection()
        destination.prepare(ResumePoint("job"))
        assert destination.write_records(rows_of(records, first)) == (True, None)
        assert destination.finalize()


def data_of(warehouse: "Warehouse") -> list[Any]:
    found = sorted(warehouse.records("items"), key=lambda row: int(row["source_record_id"]))
    return [json.loads(row["source_data"]) for row in found]


class TestBigQueryStreaming(InWarehouse):
    """It appends in every sync mode, so only ``stream`` follows the contract."""

    exactly_once = False
    modes = (SourceSyncModes.STREAM,)

    @pytest.fixture
    def config(self, warehouse: "Warehouse") -> Any:
        self.warehouse = warehouse
        return config_of(warehouse)


@pytest.mark.parametrize("mode", ["full_refresh", "incremental", "stream"])
def test_rows_go_to_the_table_at_once_in_every_mode(warehouse: "Warehouse", mode: str) -> None:
    write(config_of(warehouse), [{"n": 1}], mode=mode)
    write(config_of(warehouse), [{"n": 2}], first=1, mode=mode)
    assert data_of(warehouse) == [{"n": 1}, {"n": 2}]
    assert warehouse.tables() == ["items"]
    assert warehouse.rows("items")[0]["_source_timestamp"] == MOMENT
    assert {field.mode for field in warehouse.table("items").schema} == {"REQUIRED"}


def test_a_batch_that_is_soon_rewritten_appears_once(warehouse: "Warehouse") -> None:
    for _ in range(2):
        write(config_of(warehouse), [{"n": 1}, {"n": 2}])
    assert data_of(warehouse) == [{"n": 1}, {"n": 2}]


def test_requests_are_bounded_by_rows(warehouse: "Warehouse", monkeypatch: pytest.MonkeyPatch) -> None:
    from google.cloud.bigquery import Client

    seen: list[int] = []
    inner = Client.insert_rows_json

    def counted(self: Any, table: Any, rows: Any, **how: Any) -> Any:
        seen.append(len(rows))
        return inner(self, table, rows, **how)

    monkeypatch.setattr(Client, "insert_rows_json", counted)
    write(config_of(warehouse, bq_max_rows_per_request=4), [{"n": n} for n in range(10)])
    assert seen == [4, 4, 2]
    assert data_of(warehouse) == [{"n": n} for n in range(10)]


@pytest.mark.lesson("F-41")
def test_a_row_that_is_too_large_for_a_request_arrives(warehouse: "Warehouse") -> None:
    large = {"n": 1, "text": "x" * 1_200_000}
    for _ in range(2):  # written again, the load job is found
        write(config_of(warehouse), [{"n": 0}, large, {"n": 2}])
    assert data_of(warehouse) == [{"n": 0}, large, {"n": 2}]


@pytest.mark.lesson("F-41")
def test_a_row_that_bigquery_refuses_is_an_error_that_names_it(warehouse: "Warehouse") -> None:
    """A type that the table has, and the configuration does not know of."""
    from google.cloud.bigquery import SchemaField, Table

    schema = [SchemaField("id", "INTEGER"), SchemaField("x", "STRING", max_length=3)]
    warehouse.client.create_table(Table(f"test-project.{warehouse.dataset}.items", schema=schema))
    columns = [{"name": "id", "type": "INTEGER"}, {"name": "x", "type": "STRING"}, {"name": "gone", "type": "STRING"}]
    config = config_of(warehouse, columns)
    with open_destination(config, "stream") as destination:
        destination.prepare(ResumePoint("job"))
        destination.write_records(rows_of([{"id": 1, "x": "a", "gone": "b"}]))
    assert {field.name for field in warehouse.table("items").schema} == {"id", "x", "gone"}


@pytest.mark.lesson("F-41")
def test_row_errors_name_their_row(warehouse: "Warehouse", monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer that BigQuery documents for a request with one bad row; the emulator accepts more rows."""
    from google.cloud.bigquery import Client

    answer = [
        {"index": 0, "errors": [{"reason": "stopped", "location": "", "message": ""}]},
        {"index": 1, "errors": [{"reason": "invalid", "location": "x", "message": "Cannot convert"}]},
    ]
    monkeypatch.setattr(Client, "insert_rows_json", lambda *_, **__: answer)
    with open_destination(config_of(warehouse), "stream") as destination:
        destination.prepare(ResumePoint("job"))
        destination._made_at = float("-inf")  # type: ignore[attr-defined]
        with pytest.raises(RowsRejectedError) as raised:
            destination.write_records(rows_of([{"n": 1}, {"n": 2}]))
    assert list(raised.value.reasons) == [1]
    assert raised.value.reasons[1].startswith("row 'b1' of ")
    assert raised.value.reasons[1].endswith("column 'x': Cannot convert")


def test_columns_of_every_type_and_a_large_row_of_them(warehouse: "Warehouse") -> None:
    columns = [
        {"name": "id", "type": "INTEGER", "mode": "REQUIRED"},
        {"name": "raw", "type": "JSON"},
        {"name": "blob", "type": "BYTES"},
        {"name": "price", "type": "NUMERIC"},
        {"name": "tags", "type": "STRING", "mode": "REPEATED"},
        {"name": "place", "type": "RECORD", "fields": [{"name": "city", "type": "STRING"}]},
        {"name": "text", "type": "STRING"},
    ]
    small = {"id": 1, "raw": {"a": [1]}, "blob": "AAE=", "price": "1.5", "tags": ["a"], "place": {"city": "Lyon"}}
    large = {**small, "id": 2, "text": "x" * 1_000_000}
    write(config_of(warehouse, columns), [small, large])
    one, two = sorted(warehouse.rows("items"), key=lambda row: int(row["id"]))
    assert (one["blob"], str(one["price"]), one["tags"], one["place"]) == (b"\0\1", "1.5", ["a"], {"city": "Lyon"})
    assert one["raw"] == two["raw"]
    assert (two["blob"], len(two["text"])) == (b"\0\1", 1_000_000)
