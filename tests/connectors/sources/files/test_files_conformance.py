"""The files source keeps the contract of sources: in every format, and in object stores."""

import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import polars as pl
import pytest
from obstore.store import S3Store

from bizon.connectors.sources.files.src.source import FilesSource
from bizon.testing.source import SourceConformance

if TYPE_CHECKING:
    from connectors.sources.files.conftest import Bucket

pytestmark = pytest.mark.matrix(share=6)

ROWS = [{"id": f"r{number}", "text": 'some, "text"' * (number % 3)} for number in range(40)]
NO_TIME: dict[str, str] = {
    "equal_timestamps_at_the_edge_of_a_window_are_not_lost": "continues from its next_state",
}
NO_SECRET = {
    "wrong_credentials_say_so_in_one_line": "the configuration holds no secret",
    "no_output_shows_a_secret": "the configuration holds no secret",
}


def ndjson(rows: list[dict[str, Any]]) -> bytes:
    return "".join(f"{json.dumps(row)}\n" for row in rows).encode()


def as_csv(rows: list[dict[str, Any]]) -> bytes:
    return pl.DataFrame(rows, schema={"id": pl.String, "text": pl.String}).write_csv().encode()


def parquet(rows: list[dict[str, Any]]) -> bytes:
    data = io.BytesIO()
    pl.DataFrame(rows, schema={"id": pl.String, "text": pl.String}).write_parquet(data, row_group_size=7)
    return data.getvalue()


FORMATS: dict[str, Callable[[list[dict[str, Any]]], bytes]] = {
    "a.ndjson": ndjson,
    "a.csv": as_csv,
    "a.json": lambda rows: json.dumps(rows, indent=2).encode(),
    "a.parquet": parquet,
    "a.csv.gz": lambda rows: gzip.compress(as_csv(rows)),
}


class TestFormats(SourceConformance):
    source_class = FilesSource
    not_applicable: ClassVar = {**NO_TIME, **NO_SECRET}

    @pytest.fixture(params=FORMATS)
    def config(self, request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
        self.folder, self.name, self.write = tmp_path, request.param, FORMATS[request.param]
        (tmp_path / f"1{self.name}").write_bytes(self.write(ROWS[:30]))
        (tmp_path / f"2{self.name}").write_bytes(self.write(ROWS[30:]))
        return {"name": "files", "stream": "rows", "path": f"{tmp_path}/*", "id": "id", "piece_size": 300}

    def empty_config(self, config: dict[str, Any]) -> dict[str, Any]:
        (self.folder / "empty").mkdir()
        (self.folder / "empty" / self.name).write_bytes(self.write([]))
        return {**config, "path": f"{self.folder}/empty/*"}

    def change(self, config: dict[str, Any]) -> list[str]:
        (self.folder / f"0{self.name}").write_bytes(self.write([{"id": "new", "text": "x"}]))
        return ["new"]


class TestS3(SourceConformance):
    source_class = FilesSource
    not_applicable: ClassVar = NO_TIME

    @pytest.fixture
    def config(self, s3_account: dict[str, str], tmp_path: Path) -> dict[str, Any]:
        self.folder = tmp_path.name
        config: Any = s3_account
        self.store = S3Store("bucket", config=config, client_options={"allow_http": True})
        self.store.put(f"{self.folder}/1.ndjson", ndjson(ROWS[:30]))
        self.store.put(f"{self.folder}/2.parquet", parquet(ROWS[30:]))
        path = f"s3://bucket/{self.folder}/*"
        return {"name": "files", "stream": "rows", "path": path, "id": "id", "piece_size": 300, "storage": s3_account}

    def empty_config(self, config: dict[str, Any]) -> dict[str, Any]:
        return {**config, "path": "s3://bucket/none/*", "allow_no_files": True}

    def change(self, config: dict[str, Any]) -> list[str]:
        self.store.put(f"{self.folder}/0.ndjson", ndjson([{"id": "new"}]))
        return ["new"]


class TestCloudStorage(SourceConformance):
    source_class = FilesSource
    not_applicable: ClassVar = {**NO_TIME, **NO_SECRET}

    @pytest.fixture
    def config(self, gcs: "Bucket") -> dict[str, Any]:
        self.bucket = gcs
        gcs.put("1.ndjson", ndjson(ROWS[:30]))
        gcs.put("2.csv.gz", gzip.compress(as_csv(ROWS[30:])))
        return {"name": "files", "stream": "rows", **gcs.keys("*", id="id", piece_size=300)}

    def empty_config(self, config: dict[str, Any]) -> dict[str, Any]:
        self.bucket.put("empty/a.ndjson", b"")
        return {**config, "path": f"{self.bucket.url}/empty/*"}

    def change(self, config: dict[str, Any]) -> list[str]:
        self.bucket.put("0.ndjson", ndjson([{"id": "new"}]))
        return ["new"]
