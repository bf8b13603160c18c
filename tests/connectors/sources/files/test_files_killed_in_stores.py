"""A run that is killed inside of an object of S3 or Azure: the server counts what it is asked for again."""

import io
import json
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import polars as pl
import pytest
from e2e.conftest import Pipeline
from e2e.test_files import KILLED
from http_proxy import http_proxy

if TYPE_CHECKING:
    from connectors.sources.files.conftest import Bucket

ROWS = [{"id": str(number), "text": f"{number:0180}"} for number in range(30_000)]
PIECE = 200_000  # bytes; a start also reads up to 64 KB that tell the format
GROUP = 1_000  # rows of a row group, of about as many bytes
KILLS = (1, 6, 9)  # pages, of one process each
PIECES = {"a.parquet": 3}  # that a start may read again; Polars reads the end of a Parquet file several times


def ndjson() -> bytes:
    return "".join(f"{json.dumps(row)}\n" for row in ROWS).encode()


def csv() -> bytes:
    return pl.DataFrame(ROWS).write_csv().encode()


def parquet() -> bytes:
    data = io.BytesIO()
    pl.DataFrame(ROWS).write_parquet(data, row_group_size=GROUP, compression="uncompressed")
    return data.getvalue()


KEYS: dict[Callable[[], bytes], str] = {ndjson: "a.jsonl", csv: "a.csv", parquet: "a.parquet"}


@pytest.mark.matrix(share=6)
@pytest.mark.parametrize("store", ["s3", "azure"])
@pytest.mark.parametrize("make", KEYS)
def test_a_kill_inside_of_an_object_costs_one_piece(
    tmp_path: Path,
    store: str,
    make: Callable[[], bytes],
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    content, key = make(), KEYS[make]
    bucket: Bucket = request.getfixturevalue(store)
    bucket.put(key, content)
    server = urlsplit(bucket.storage["endpoint"])
    with http_proxy(f"{server.scheme}://{server.netloc}") as proxy:

        def returned(folder: str, kills: Sequence[int]) -> int:
            """The bytes of the object that all starts of a run are sent."""
            (tmp_path / folder).mkdir()
            pipeline = Pipeline(tmp_path / folder)
            storage = {**bucket.storage, "endpoint": f"{proxy.url}{server.path}"}
            keys = {**bucket.keys(key), "storage": storage}
            pipeline.config["source"] = {"name": "files", "stream": "rows", "id": "id", "piece_size": PIECE, **keys}
            pipeline.source(source_file_path=str(KILLED)).destination(buffer_size=0)
            proxy.returned.clear()
            for kill in kills:
                monkeypatch.setenv("KILL_AT", str(kill))
                pipeline.run("--runner", "stream", expect=-signal.SIGKILL)
            monkeypatch.delenv("KILL_AT", raising=False)
            pipeline.run("--runner", "stream")
            assert [json.loads(line["source_data"]) for line in pipeline.lines()] == ROWS
            return sum(size for path, size in proxy.returned.items() if path.partition("?")[0].endswith(f"/{key}"))

        again = returned("killed", KILLS) - returned("whole", ())
    assert 0 < again <= len(KILLS) * PIECES.get(key, 2) * PIECE, f"{again} of {len(content)} bytes came again"
