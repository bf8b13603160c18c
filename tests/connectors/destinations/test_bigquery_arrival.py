"""Tables that are partitioned by the arrival of their rows (``time_partitioning.field: null``).

The client is a stand-in that notes what it is asked: the emulator knows no partitions by arrival.
"""

from typing import TYPE_CHECKING, Any

import pytest
from connectors.destinations.bigquery.test_bigquery_config import config_of
from destinations import open_destination, publish, rows_of, write

from bizon.connectors.destinations.bigquery_streaming_v2.src.writer import TableWriter
from bizon.destination.models import ResumePoint

if TYPE_CHECKING:
    from google.cloud import bigquery

BY_ARRIVAL = {"type": "HOUR", "field": None}


class Job:
    """A job that is done."""

    error_result = None

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self._rows = rows

    def result(self, **_: Any) -> list[dict[str, Any]]:
        return self._rows


class Client:
    """``asked``: names and arguments of what changes something. Staging holds one row, of the first write."""

    def __init__(self, tables: dict[str, "bigquery.Table"]) -> None:
        self.tables = tables
        self.asked: list[tuple[str, Any]] = []

    def get_table(self, table: Any, **_: Any) -> "bigquery.Table":
        from google.api_core.exceptions import NotFound

        if str(table) not in self.tables:
            raise NotFound(str(table))
        return self.tables[str(table)]

    def create_table(self, table: "bigquery.Table", **_: Any) -> "bigquery.Table":
        self.asked.append(("create", table))
        table._properties["numRows"] = "0"
        self.tables[str(table.reference)] = table
        return table

    def update_table(self, table: "bigquery.Table", *_: Any, **__: Any) -> "bigquery.Table":
        return table

    def query(self, query: str, job_config: Any = None, **_: Any) -> Job:
        if "GROUP BY" in query:
            return Job([{"mark": mark, "n": 1} for mark in job_config.query_parameters[0].values])
        if "DROP TABLE" in query:
            return Job([])
        self.asked.append((query, job_config))
        return Job([])

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Client:
    from bizon.connectors.destinations.bigquery.src.client import Clients

    made = Client({})
    monkeypatch.setattr(Clients, "bigquery", made)
    monkeypatch.setattr(TableWriter, "write", lambda *_: None)
    return made


def load(mode: str) -> None:
    emulator = {"api_endpoint": "http://localhost:1", "write_endpoint": "localhost:1"}
    config = config_of("bigquery_streaming_v2", destination_id="t", time_partitioning=BY_ARRIVAL, emulator=emulator)
    with open_destination(config, mode) as destination:
        destination.prepare(ResumePoint(destination.sync_metadata.job_id))
        publish(destination, write(destination, rows_of([{"n": 1}])))


@pytest.mark.parametrize("mode", ["full_refresh", "incremental"])
def test_a_new_table_is_partitioned_by_arrival(client: Client, mode: str) -> None:
    load(mode)
    (final,) = (table for what, table in client.asked if what == "create" and table.table_id == "t")
    assert (final.time_partitioning.type_, final.time_partitioning.field) == ("HOUR", None)


def test_a_replaced_table_stays_partitioned_by_arrival(client: Client) -> None:
    """The rows arrive in the table that is there; nothing else of it is named."""
    from google.cloud import bigquery

    there = bigquery.Table("p.d.t", schema=[bigquery.SchemaField("_source_data", "JSON")])
    there.time_partitioning = bigquery.TimePartitioning(type_="HOUR")
    there.clustering_fields = ["_bizon_id"]
    there._properties["numRows"] = "0"
    client.tables["p.d.t"] = there
    load("full_refresh")
    (query, how) = client.asked[-1]
    assert "; TRUNCATE TABLE `p.d.t`; INSERT INTO `p.d.t` (`_source_data`, " in query
    assert (how.destination, how.write_disposition) == (None, None)


def test_rows_are_appended_to_it_by_name(client: Client) -> None:
    load("incremental")
    (query, how) = client.asked[-1]
    assert "; INSERT INTO `p.d.t` (`_source_record_id`, " in query
    assert "TRUNCATE" not in query
    assert how.destination is None
