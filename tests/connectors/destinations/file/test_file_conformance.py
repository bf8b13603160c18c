"""The file destination claims the behaviours of every destination, in each format."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from bizon.connectors.destinations.file.src.config import FileDestinationConfig
from bizon.testing.destination import DestinationConformance

pytestmark = pytest.mark.matrix(share=6, pool="files as destinations")


class TestLines(DestinationConformance):
    exactly_once_in_stream = takes_parts = shows_presence = True
    survives_interruptions = False  # test_file_crash.py and tests/e2e/crash do it, at each change of the disk

    @pytest.fixture
    def config(self, tmp_path: Path) -> FileDestinationConfig:
        return FileDestinationConfig(name="file", config={"destination_id": str(tmp_path / "out")})

    def read(self, config: Any, destination_id: str | None) -> list[dict[str, Any]]:
        file = Path(f"{destination_id or config.config.destination_id}.json")
        return [json.loads(line) for line in file.read_bytes().splitlines()] if file.exists() else []


class TestParquet(DestinationConformance):
    exactly_once_in_stream = takes_parts = shows_presence = True
    survives_interruptions = False  # test_file_crash.py and tests/e2e/crash do it, at each change of the disk

    @pytest.fixture
    def config(self, tmp_path: Path) -> FileDestinationConfig:
        return FileDestinationConfig(name="file", config={"destination_id": str(tmp_path / "out"), "format": "parquet"})

    def read(self, config: Any, destination_id: str | None) -> list[dict[str, Any]]:
        path = Path(f"{destination_id or config.config.destination_id}.parquet")
        return pl.read_parquet(path, glob=path.is_dir()).rows(named=True) if path.exists() else []


class TestCsv(DestinationConformance):
    exactly_once_in_stream = takes_parts = shows_presence = True
    survives_interruptions = False  # tests/e2e/crash/test_file_tables_crash.py does it

    @pytest.fixture
    def config(self, tmp_path: Path) -> FileDestinationConfig:
        return FileDestinationConfig(name="file", config={"destination_id": str(tmp_path / "out"), "format": "csv"})

    def read(self, config: Any, destination_id: str | None) -> list[dict[str, Any]]:
        path = Path(f"{destination_id or config.config.destination_id}.csv")
        files = sorted(path.iterdir()) if path.is_dir() else [path] if path.exists() else []
        return [row for file in files for row in pl.read_csv(file, infer_schema=False, glob=False).rows(named=True)]
