"""A pipeline into a BigQuery table that can be killed, and what must be true of the table afterwards."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from e2e.crash.crash_kit import Rig, Row

if TYPE_CHECKING:
    from bigquery import Warehouse

DESTINATIONS = ["bigquery", "bigquery_background", "bigquery_streaming_v2"]
_ASIDE = {"async_load": True, "load_files_per_job": 2, "load_max_in_flight_jobs": 1}


class WarehouseRig(Rig):
    """The rig of the crash tests with a table instead of the file."""

    def __init__(self, folder: Path, warehouse: "Warehouse", destination: str, mode: str, **source: Any) -> None:
        super().__init__(folder, mode, "json", **source)
        self.warehouse = warehouse
        self.destination = {**warehouse.keys, "destination_id": "out", "buffer_size": 0}
        self.name = destination.removesuffix("_background")
        if self.name == "bigquery":
            self.destination |= {"gcs_buffer_bucket": warehouse.bucket, **(_ASIDE if destination != self.name else {})}

    @property
    def destination_block(self) -> dict[str, Any]:
        return {"name": self.name, "config": self.destination}

    def rows(self) -> list[Row] | None:
        if "out" not in self.warehouse.tables():
            return None
        found = []
        for row in self.warehouse.records("out"):
            item = json.loads(row["source_data"])
            if str(item["id"]) != row["source_record_id"]:
                raise ValueError(f"the content of another record: {row}")
            found.append((int(item["id"]), int(item["version"])))
        return sorted(found)

    def leftovers(self) -> list[str]:
        return [name for name in self.warehouse.tables() if name != "out"] + self.warehouse.objects()


@pytest.fixture
def build(tmp_path: Path, warehouse: "Warehouse") -> Callable[..., WarehouseRig]:
    """``build(destination, mode)``: a pipeline that has published version 1, and whose source has version 2 now."""

    def make(destination: str, mode: str, **source: Any) -> WarehouseRig:
        rig = WarehouseRig(tmp_path, warehouse, destination, mode, **source)
        assert rig.run() == 0, rig.log()
        assert rig.rows() == rig.expected()
        rig.change()
        return rig

    return make
