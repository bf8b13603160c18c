"""Unnested tables of the bigquery destination: every type arrives as it was, and what does not fit is named."""

import json
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from destinations import open_destination, publish, rows_of, write

from bizon.common.errors.errors import RowsRejectedError
from bizon.connectors.destinations.bigquery.src.config import BigQueryConfig
from bizon.destination.models import ResumePoint

if TYPE_CHECKING:
    from bigquery import Warehouse

PLAIN = [
    {"name": "id", "type": "INTEGER"},
    {"name": "name", "type": "string"},
    {"name": "ratio", "type": "FLOAT64"},
    {"name": "ok", "type": "BOOLEAN"},
    {"name": "day", "type": "DATE"},
    {"name": "civil", "type": "DATETIME"},
    {"name": "at", "type": "TIMESTAMP"},
    {"name": "price", "type": "NUMERIC"},
    {"name": "tags", "type": "STRING", "mode": "REPEATED"},
    {"name": "place", "type": "RECORD", "fields": [{"name": "city", "type": "STRING"}, {"name": "n", "type": "INT64"}]},
    {
        "name": "lines",
        "type": "RECORD",
        "mode": "REPEATED",
        "fields": [{"name": "sku", "type": "STRING"}, {"name": "counts", "type": "INTEGER", "mode": "REPEATED"}],
    },
]
RECORD: dict[str, Any] = {
    "id": 2**62,
    "name": 'Zoë "quoted"\n',
    "ratio": 0.1,
    "ok": True,
    "day": "2024-02-29",
    "civil": "2024-01-02T03:04:05.123456",
    "at": "2024-01-02T03:04:05.123456+02:00",
    "price": 12.345678901,
    "tags": ["a", "b"],
    "place": {"city": "Lyon", "n": 3},
    "lines": [{"sku": "x", "counts": [1, 2]}, {"sku": "y", "counts": []}],
}
EXPECTED = {
    **RECORD,
    "day": date(2024, 2, 29),
    "civil": datetime(2024, 1, 2, 3, 4, 5, 123456),
    "at": datetime(2024, 1, 2, 1, 4, 5, 123456, tzinfo=UTC),
    "price": Decimal("12.345678901"),
}
BESIDES = [
    {"name": "id", "type": "INTEGER", "mode": "REQUIRED"},
    {"name": "clock", "type": "TIME"},
    {"name": "exact", "type": "BIGNUMERIC"},
    {"name": "raw", "type": "JSON"},
    {"name": "blob", "type": "BYTES"},
]


def config_of(warehouse: "Warehouse", columns: list[dict[str, Any]] | None = None, **keys: Any) -> BigQueryConfig:
    block = {**warehouse.keys, "gcs_buffer_bucket": warehouse.bucket, "destination_id": "items", **keys}
    if columns is not None:
        block |= {"unnest": True, "record_schemas": [{"destination_id": "items", "record_schema": columns}]}
    return BigQueryConfig(name="bigquery", config=block)


def load(config: BigQueryConfig, records: list[dict[str, Any]]) -> None:
    with open_destination(config) as destination:
        assert destination.check_connection()
        destination.prepare(ResumePoint(destination.sync_metadata.job_id))
        publish(destination, write(destination, rows_of(records)))


@pytest.mark.lesson("F-40")
def test_every_type_that_parquet_carries(warehouse: "Warehouse") -> None:
    nothing = {"id": None, "tags": [], "lines": []}
    load(config_of(warehouse, PLAIN), [RECORD, {"id": None}])
    found = sorted(warehouse.rows("items"), key=lambda row: row["id"] is None)
    assert found[0] == EXPECTED
    assert {name: value for name, value in found[1].items() if value is not None} == {
        name: value for name, value in nothing.items() if value is not None
    }


@pytest.mark.lesson("F-40")
def test_types_that_parquet_does_not_carry_go_as_lines(warehouse: "Warehouse") -> None:
    raw = {"b": [1, {"c": None}], "a": "é"}
    exact = "12345678901234567890.123456789012345678"
    load(
        config_of(warehouse, BESIDES),
        [{"id": 1, "clock": "7:08:09.5", "exact": exact, "raw": raw, "blob": "AAEC/w=="}, {"id": 2}],
    )
    one, two = sorted(warehouse.rows("items"), key=lambda row: int(row["id"]))
    assert (one["clock"], one["exact"], one["blob"]) == (time(7, 8, 9, 500000), Decimal(exact), b"\x00\x01\x02\xff")
    assert (json.loads(one["raw"]) if isinstance(one["raw"], str) else one["raw"]) == raw
    assert two == {"id": 2, "clock": None, "exact": None, "raw": None, "blob": None}


def test_a_new_column_is_added_to_the_table_and_an_old_one_stays(warehouse: "Warehouse") -> None:
    first = [{"name": "id", "type": "INTEGER", "mode": "REQUIRED"}, {"name": "old", "type": "STRING"}]
    second = [{"name": "id", "type": "INTEGER"}, {"name": "new", "type": "STRING", "mode": "REQUIRED"}]
    with open_destination(config_of(warehouse, first), "incremental") as destination:
        destination.prepare(ResumePoint(destination.sync_metadata.job_id))
        publish(destination, write(destination, rows_of([{"id": 1, "old": "o"}])))
    with open_destination(config_of(warehouse, second), "incremental") as destination:
        destination.prepare(ResumePoint(destination.sync_metadata.job_id))
        publish(destination, write(destination, rows_of([{"id": 2, "new": "n"}])))
    assert sorted(warehouse.rows("items"), key=lambda row: int(row["id"])) == [
        {"id": 1, "old": "o", "new": None},
        {"id": 2, "old": None, "new": "n"},
    ]


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ({"type": "INTEGER"}, "12", "is INTEGER, the record has a string"),
        ({"type": "INTEGER"}, 2**63, "is INTEGER, the record has an integer"),
        ({"type": "INTEGER"}, 1.5, "is INTEGER, the record has a number"),
        ({"type": "BOOLEAN"}, 1, "is BOOLEAN, the record has an integer"),
        ({"type": "FLOAT"}, True, "is FLOAT, the record has a boolean"),
        ({"type": "NUMERIC"}, "0.1234567891", "is NUMERIC, the record has a string"),
        ({"type": "NUMERIC"}, 10**29, "is NUMERIC, the record has an integer"),
        ({"type": "DATE"}, "2024-13-01", "is DATE, the record has a string"),
        ({"type": "TIME"}, "25:00:00", "is TIME, the record has a string"),
        ({"type": "TIMESTAMP"}, "yesterday", "is TIMESTAMP, the record has a string"),
        ({"type": "BYTES"}, "not base64!", "is BYTES, the record has a string"),
        ({"type": "STRING", "mode": "REQUIRED"}, None, "is REQUIRED, the record has none"),
        ({"type": "STRING", "mode": "REPEATED"}, "a", "is REPEATED, the record has a string, not an array"),
        ({"type": "STRING", "mode": "REPEATED"}, [None], "is REPEATED, and BigQuery keeps no null in an array"),
        ({"type": "RECORD", "fields": [{"name": "n", "type": "DATE"}]}, {"n": 1}, "column 'x.n' is DATE"),
    ],
)
def test_a_value_that_does_not_fit_names_record_and_column(
    warehouse: "Warehouse", column: dict[str, Any], value: Any, reason: str
) -> None:
    config = config_of(warehouse, [{"name": "id", "type": "INTEGER"}, {"name": "x", **column}])
    fits = {"REPEATED": [], "REQUIRED": "text"}.get(column.get("mode", ""))
    with open_destination(config) as destination:
        destination.prepare(ResumePoint(destination.sync_metadata.job_id))
        with pytest.raises(RowsRejectedError) as raised:
            destination.write_records(rows_of([{"id": 1, "x": fits}, {"id": 2, "x": value}]))
    assert list(raised.value.reasons) == [1]
    assert raised.value.reasons[1].startswith("record '1' of 'items': column 'x")
    assert reason in raised.value.reasons[1]


def test_a_column_that_is_required_needs_a_value_although_it_has_a_default(warehouse: "Warehouse") -> None:
    """A load job fills in none: it would fail as a whole."""
    column = {"name": "x", "type": "STRING", "mode": "REQUIRED", "default_value_expression": "'none'"}
    with open_destination(config_of(warehouse, [{"name": "id", "type": "INTEGER"}, column])) as destination:
        destination.prepare(ResumePoint(destination.sync_metadata.job_id))
        with pytest.raises(RowsRejectedError) as raised:
            destination.write_records(rows_of([{"id": 1, "x": "a"}, {"id": 2}]))
    assert raised.value.reasons == {1: "record '1' of 'items': column 'x' is REQUIRED, the record has none"}


@pytest.mark.parametrize("mode", ["full_refresh", "incremental"])
def test_a_table_with_columns_that_nobody_declared(warehouse: "Warehouse", mode: str) -> None:
    """They stay, at every depth, and are empty in new rows."""
    place = {"name": "place", "type": "RECORD", "fields": [{"name": "city", "type": "STRING"}]}
    more = {"name": "place", "type": "RECORD", "fields": [*place["fields"], {"name": "zip", "type": "STRING"}]}
    first = [{"name": "id", "type": "INTEGER"}, more, {"name": "old", "type": "STRING"}]
    for columns in (first, [{"name": "id", "type": "INTEGER"}, place]):
        with open_destination(config_of(warehouse, columns), mode) as destination:
            destination.prepare(ResumePoint(destination.sync_metadata.job_id, has_history=True))
            publish(destination, write(destination, rows_of([{"id": len(columns), "place": {"city": "Lyon"}}])))
    found = sorted(warehouse.rows("items"), key=lambda row: int(row["id"]))
    assert found[0] == {"id": 2, "place": {"city": "Lyon", "zip": None}, "old": None}
    assert len(found) == (1 if mode == "full_refresh" else 2)
