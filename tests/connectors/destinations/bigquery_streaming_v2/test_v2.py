"""The bigquery_streaming_v2 destination against the emulator: conformance, types, requests, streams that break."""

import json
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from connectors.destinations.bigquery.test_bigquery_unnest import BESIDES, EXPECTED, PLAIN, RECORD
from destinations import MOMENT, InWarehouse, open_destination, publish, resumed, rows_of, write

from bizon.common.errors.errors import DestinationError, RowsRejectedError
from bizon.connectors.destinations.bigquery_streaming_v2.src import appends
from bizon.connectors.destinations.bigquery_streaming_v2.src.config import BigQueryStreamingV2Config
from bizon.destination.models import ResumePoint
from bizon.source.config import SourceSyncModes

if TYPE_CHECKING:
    from bigquery import Warehouse


def config_of(warehouse: "Warehouse", columns: list[dict[str, Any]] | None = None, **keys: Any) -> Any:
    block: dict[str, Any] = {**warehouse.keys, "destination_id": "items", "request_size": 3, **keys}
    if columns is not None:
        block |= {"unnest": True, "record_schemas": [{"destination_id": "items", "record_schema": columns}]}
    return BigQueryStreamingV2Config(name="bigquery_streaming_v2", config=block)


@pytest.mark.matrix(share=32, pool="BigQuery as a destination")
class TestStreamingV2(InWarehouse):
    takes_parts = True

    @pytest.fixture(autouse=True)
    def short_waits(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A superseded start tries for a minute to append to staging that is gone: a new table may be found late."""
        monkeypatch.setattr(appends, "_FIRST_WAIT", 0.1)
        monkeypatch.setattr(appends, "_LONGEST_WAIT", 0.1)

    @pytest.fixture
    def config(self, warehouse: "Warehouse") -> Any:
        self.warehouse = warehouse
        return config_of(warehouse)


class TestStreamingV2WithOffsets(TestStreamingV2):
    """The other sync modes have offsets anyway."""

    modes = (SourceSyncModes.STREAM,)

    @pytest.fixture
    def config(self, warehouse: "Warehouse") -> Any:
        self.warehouse = warehouse
        return config_of(warehouse, use_offsets=True, max_concurrent_threads=2, request_size=0.4)


def load(config: Any, records: list[dict[str, Any]], mode: str = "full_refresh") -> None:
    with open_destination(config, mode) as destination:
        assert destination.check_connection()
        destination.prepare(ResumePoint(destination.sync_metadata.job_id))
        publish(destination, write(destination, rows_of(records)))


@pytest.mark.lesson("F-42")
@pytest.mark.parametrize("mode", ["full_refresh", "incremental", "stream"])
def test_every_type_and_moments_to_the_microsecond(warehouse: "Warehouse", mode: str) -> None:
    columns = [*PLAIN, *[column for column in BESIDES if column["name"] != "id"]]
    exact = "12345678901234567890.123456789012345678"
    more = {"clock": "7:08:09.5", "exact": exact, "raw": {"a": [1, None]}, "blob": "AAEC/w=="}
    load(config_of(warehouse, columns), [{**RECORD, **more}], mode)
    (found,) = warehouse.rows("items")
    raw = found.pop("raw")
    assert (json.loads(raw) if isinstance(raw, str) else raw) == more["raw"]
    assert found == {
        **EXPECTED,
        "clock": time(7, 8, 9, 500000),
        "exact": Decimal(exact),
        "blob": b"\x00\x01\x02\xff",
        "day": date(2024, 2, 29),
        "at": datetime(2024, 1, 2, 1, 4, 5, 123456, tzinfo=UTC),
    }


def test_the_six_columns(warehouse: "Warehouse") -> None:
    load(config_of(warehouse), [{"n": 1}])
    (row,) = warehouse.rows("items")
    assert (row["_source_record_id"], row["_bizon_id"], row["_source_timestamp"]) == ("0", "b0", MOMENT)
    assert warehouse.tables() == ["items"]


@pytest.mark.parametrize(
    ("mode", "name"), [("full_refresh", "items_temp"), ("incremental", "items_incremental"), ("stream", "items")]
)
def test_rows_wait_in_a_table_of_their_own(warehouse: "Warehouse", mode: str, name: str) -> None:
    with open_destination(config_of(warehouse), mode) as destination:
        destination.prepare(ResumePoint(destination.sync_metadata.job_id))
        destination.write_records(rows_of([{"n": 1}]))
        assert warehouse.tables() == [name]
        assert destination.temp_table_id.endswith(f".{name}")  # type: ignore[attr-defined]


def test_rows_of_a_superseded_run_are_not_published(warehouse: "Warehouse") -> None:
    config = config_of(warehouse)
    with open_destination(config, "incremental") as frozen:
        job = frozen.sync_metadata.job_id
        frozen.prepare(ResumePoint(job))
        one = write(frozen, rows_of([{"n": 0}]))
        with open_destination(config, "incremental", job) as taker:
            taker.prepare(resumed(job, one))
            frozen.batch = type(frozen.batch)(1, 2)
            frozen.write_records(rows_of([{"n": "of the frozen run"}], first=1))
            taker.batch = type(taker.batch)(1, 1)
            publish(taker, one, write(taker, rows_of([{"n": 1}], first=1)))
    assert sorted(row["_source_record_id"] for row in warehouse.rows("items")) == ["0", "1"]
    assert "frozen" not in str(warehouse.rows("items"))


def test_rows_removed_by_someone_else_are_reported_missing(warehouse: "Warehouse") -> None:
    with open_destination(config_of(warehouse)) as destination:
        destination.prepare(ResumePoint(destination.sync_metadata.job_id))
        batch = write(destination, rows_of([{"n": 1}, {"n": 2}]))
        warehouse.ask(f"DELETE FROM `test-project.{warehouse.dataset}.items_temp` WHERE _source_record_id = '1'")
        with pytest.raises(DestinationError, match=r"pages 0-0 \(2 rows\): .* holds 1 of them.*--fresh"):
            publish(destination, batch)


def test_a_row_that_is_too_large_is_named(warehouse: "Warehouse") -> None:
    with open_destination(config_of(warehouse)) as destination:
        destination.prepare(ResumePoint(destination.sync_metadata.job_id))
        with pytest.raises(RowsRejectedError) as raised:
            destination.write_records(rows_of([{"n": 1}, {"n": "x" * 3_100_000}]))
    assert list(raised.value.reasons) == [1]
    assert "is more than Storage Write takes" in raised.value.reasons[1]


def test_many_requests_over_several_streams(warehouse: "Warehouse") -> None:
    records = [{"n": n, "text": "x" * 1000} for n in range(2000)]
    load(config_of(warehouse, request_size=0.1, max_concurrent_threads=4), records)
    assert sorted(int(row["_source_record_id"]) for row in warehouse.rows("items")) == list(range(2000))


def test_partitioning_and_clustering_are_kept(warehouse: "Warehouse") -> None:
    columns = [{"name": "id", "type": "INTEGER", "mode": "REQUIRED"}, {"name": "at", "type": "TIMESTAMP"}]
    schema = {"destination_id": "items", "record_schema": columns, "clustering_keys": ["id"]}
    keys = {"unnest": True, "record_schemas": [schema], "time_partitioning": {"type": "MONTH", "field": "at"}}
    for _ in range(2):
        load(config_of(warehouse, **keys), [{"id": 1, "at": "2024-01-02T03:04:05Z"}])
        table = warehouse.table("items")
        assert (table.time_partitioning.type_, table.time_partitioning.field) == ("MONTH", "at")
        assert table.clustering_fields == ["id"]
    assert len(warehouse.rows("items")) == 1


def test_a_table_that_is_not_unnested_is_clustered_by_the_columns_it_has(warehouse: "Warehouse") -> None:
    columns = [{"name": "id", "type": "INTEGER"}]
    schema = {"destination_id": "items", "record_schema": columns, "clustering_keys": ["_source_record_id"]}
    load(config_of(warehouse, record_schemas=[schema]), [{"id": 1}])
    assert warehouse.table("items").clustering_fields == ["_source_record_id"]


def test_a_request_has_a_maximum_number_of_rows(warehouse: "Warehouse") -> None:
    load(config_of(warehouse, bq_max_rows_per_request=2), [{"n": n} for n in range(7)])
    assert len(warehouse.rows("items")) == 7
