"""More bytes than memory: objects of S3 that are read piece by piece, and memory that does not grow with their size."""

import gzip
import io
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest
from e2e.conftest import Pipeline

if TYPE_CHECKING:
    from connectors.sources.files.conftest import Bucket

SMALL, LARGE = 2, 24  # objects
ROWS, BYTES = 90_000, 90_000_000  # of an object, once it is unpacked: 24 of them are more than 2 GB
GROUP = 9_000  # rows of a row group
GROWTH = 60_000  # KB; far less than one object
PEAK = """
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(done.returncode)
"""
TEXTS = [random.Random(number).randbytes(480).hex() for number in range(100)]


def lines(first: int) -> Iterator[bytes]:
    for number in range(first, first + ROWS):
        yield f'{{"id":{number},"text":"{TEXTS[number % 100]}","price":{number}.10}}\n'.encode()


def ndjson_gz(first: int) -> bytes:
    return gzip.compress(b"".join(lines(first)), compresslevel=1)


def parquet(first: int) -> bytes:
    frame = pl.DataFrame({"id": range(first, first + ROWS)})
    texts = pl.Series(TEXTS).gather([number % 100 for number in range(first, first + ROWS)])
    data = io.BytesIO()
    salted = frame.with_columns(text=texts + pl.col("id").cast(pl.String))  # else a dictionary would make it small
    salted.write_parquet(data, row_group_size=GROUP, compression="uncompressed")
    return data.getvalue()


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    return Pipeline(tmp_path)


@pytest.mark.timeout(1_500)
@pytest.mark.matrix(share=0)
@pytest.mark.parametrize(
    ("name", "make"), [("jsonl.gz", ndjson_gz), ("parquet", parquet)], ids=["ndjson.gz", "parquet"]
)
def test_two_gigabytes_take_no_more_memory_than_a_tenth_of_them(
    pipeline: Pipeline, s3: "Bucket", name: str, make: Callable[[int], bytes]
) -> None:
    small = peak(filled(pipeline, s3, name, make, range(SMALL)), SMALL)
    large = peak(filled(pipeline, s3, name, make, range(SMALL, LARGE)), LARGE)
    assert large - small < GROWTH, f"{small} KB became {large} KB"


def filled(pipeline: Pipeline, bucket: "Bucket", name: str, make: Callable[[int], bytes], numbers: range) -> Pipeline:
    """The pipeline, once the bucket has these objects as well."""
    for number in numbers:
        bucket.put(f"in/{number:03}.{name}", make(number * ROWS))
    pipeline.config["source"] = {"name": "files", "stream": "rows", "id": "id", **bucket.keys(f"in/*.{name}")}
    return pipeline.destination(format="parquet", buffer_size=20)


def peak(pipeline: Pipeline, objects: int) -> int:
    """KB of memory that a run takes at most. It has every record once, with its values."""
    # Linux counts the memory of who starts a process towards its peak: this one is large, the one between is small
    command = [sys.executable, "-c", PEAK, *pipeline.command, "--log-level", "ERROR"]
    done = subprocess.run(command, cwd=pipeline.folder, capture_output=True, text=True, timeout=700, check=False)
    assert done.returncode == 0, done.stderr
    out = pl.scan_parquet(pipeline.folder / "out.parquet")
    ids = pl.col("source_record_id").cast(pl.Int64)
    rows, distinct, total = out.select(pl.len(), ids.n_unique().alias("n"), ids.sum().alias("s")).collect().row(0)
    count = objects * ROWS
    assert (rows, distinct, total) == (count, count, count * (count - 1) // 2)
    assert out.select(pl.col("source_data").str.len_bytes().sum()).collect().item() > objects * BYTES * 0.95
    return int(done.stdout.splitlines()[-1])
