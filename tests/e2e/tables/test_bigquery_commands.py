"""BigQuery tables by the real command, against the emulators."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from connectors.destinations.bigquery import test_bigquery_tables as rules
from e2e.tables.look_cases import ClosedCases, LookCases
from e2e.tables.table_cases import NEW, FlattenCases, ReaderCases, RescueCases, VerifyCases
from e2e.tables.table_kit import Table
from http_proxy import http_proxy
from ports import free_port

from bizon.connectors.destinations.bigquery.src.parts import part_of

if TYPE_CHECKING:
    from bigquery import Warehouse


class WarehouseTable(Table):
    def __init__(self, folder: Path, warehouse: "Warehouse") -> None:
        suite = rules.TestBigQuery()
        suite.warehouse = self.warehouse = warehouse
        super().__init__(folder, "bigquery", suite, **warehouse.keys, gcs_buffer_bucket=warehouse.bucket, unnest=True)

    def damage(self, how: str) -> None:
        """``removed`` and ``changed``: of the object in the bucket; ``row removed``: of the staging table."""
        if how == "row removed":
            staging = f"`{self.warehouse.project}.{self.warehouse.dataset}.items_temp`"
            self.warehouse.ask(f"DELETE FROM {staging} WHERE _source_record_id = 'r0'")
            return
        (name,) = (name for name in self.warehouse.objects() if (part := part_of(name)) and part.first == 2)
        blob = self.warehouse.storage.bucket(self.warehouse.bucket).blob(name)
        text = blob.download_as_text()
        assert '"r0"' in text
        blob.upload_from_string("" if how == "removed" else text.replace("1.10", "1.11"))

    def leads_to(self, url: str) -> None:
        """From now on the API is there."""
        self.destination(emulator={**self.warehouse.keys["emulator"], "api_endpoint": url})

    def leftovers(self) -> list[str]:
        return [name for name in self.warehouse.tables() if name != "items"] + self.warehouse.objects()


@pytest.mark.matrix(share=40, pool="tables by the command")
class TestBigQuery(FlattenCases, ReaderCases, RescueCases, VerifyCases, LookCases, ClosedCases):
    types = {"n": "INTEGER", "big": "NUMERIC", "object": "JSON", "share": "FLOAT", "yes": "BOOLEAN"}
    types |= {"at": "TIMESTAMP", "day": "DATE", "text": "STRING"}
    writes = ("TRUNCATE TABLE items", "ALTER TABLE items DROP COLUMN n", "BEGIN DELETE FROM items WHERE TRUE; END")
    outcomes = (({}, "removed", None), ({}, "changed", None), ({}, "row removed", NEW))

    @pytest.fixture
    def table(self, tmp_path: Path, warehouse: "Warehouse") -> WarehouseTable:
        return WarehouseTable(tmp_path, warehouse)

    @contextmanager
    def forbidden(self, table: Any) -> Iterator[str]:
        denied = "Access Denied: Table items: Permission bigquery.tables.get denied"
        error = {"code": 403, "message": denied, "errors": [{"reason": "accessDenied", "message": denied}]}
        with http_proxy(table.warehouse.google.api_endpoint) as proxy:
            proxy.fail("GET", "/tables/items", 403, times=100, body=json.dumps({"error": error}))
            table.leads_to(proxy.url)
            yield denied

    @contextmanager
    def unreachable(self, table: Any) -> Iterator[str]:
        table.leads_to(f"http://127.0.0.1:{free_port()}")
        yield "Connection refused"
