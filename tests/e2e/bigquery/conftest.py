"""A pipeline into a BigQuery table that can be killed, and what must be true of the table afterwards."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from e2e.crash.crash_kit import Rig, Row

if TYPE_CHECKING:
    from bigquery import Warehouse

DESTINATIONS = [
    "bigquery",
    "bigquery_background",
    "bigquery_streaming_v2",
    "bigquery_inferred",
    "bigquery_streaming_v2_inferred",
]
_ASIDE = {"async_load": True, "load_files_per_job": 2, "load_max_in_flight_jobs": 1}


class WarehouseRig(Rig):
    """The rig of the crash tests with a table instead of the file."""

    def __init__(self, folder: Path, warehouse: "Warehouse", destination: str, mode: str, **source: Any) -> None:
        super().__init__(folder, mode, "json", **source)
        self.warehouse = warehouse
        self.destination = {**warehouse.keys, "destination_id": "out", "buffer_size": 0}
        self.name = destination.removesuffix("_background").removesuffix("_inferred")
        self.infers = destination.endswith("_inferred")
        self.destination |= {"unnest": True} if self.infers else {}
        if self.name == "bigquery":
            self.destination["gcs_buffer_bucket"] = warehouse.bucket
        if destination.endswith("_background"):
            self.destination |= _ASIDE

    @property
    def destination_block(self) -> dict[str, Any]:
        return {"name": self.name, "config": self.destination}

    def rows(self) -> list[Row] | None:
        if "out" not in self.warehouse.tables():
            return None
        if self.infers:
            found = [(row["_source_record_id"], row) for row in self.warehouse.rows("out")]
        else:
            rows = self.warehouse.records("out")
            found = [(row["source_record_id"], json.loads(row["source_data"])) for row in rows]
        foreign = [id_ for id_, item in found if str(item["id"]) != id_]
        if foreign:
            raise ValueError(f"the content of another record: {foreign}")
        return sorted((int(item["id"]), int(item["version"])) for _, item in found)

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
