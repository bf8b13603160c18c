"""The checksum of a batch depends on its bytes alone, wherever they stand in the file."""

import random
from pathlib import Path

import pytest
import xxhash

from bizon.connectors.destinations.file.src.durable import digest

BLOCK, PAGE = 2**20, 4096


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (0, 0),
        (7, 7),
        (0, 3 * BLOCK + 5),
        (1, PAGE),
        (PAGE, 2 * PAGE),
        (BLOCK - 1, BLOCK),
        (BLOCK, BLOCK + 1),
        (BLOCK - 6, 3 * BLOCK + 2),
        (PAGE + 1, PAGE + 1 + 2 * BLOCK),
    ],
)
def test_the_checksum_covers_the_bytes_written(start: int, end: int, tmp_path: Path) -> None:
    content = random.Random(1).randbytes(3 * BLOCK + 5)
    (tmp_path / "batch").write_bytes(content)
    assert digest(tmp_path / "batch", start, end) == xxhash.xxh3_64_intdigest(content[start:end])


def test_a_file_that_was_cut_has_none(tmp_path: Path) -> None:
    (tmp_path / "batch").write_bytes(b"0123456789")
    with pytest.raises(EOFError, match="fewer than 11 bytes"):
        digest(tmp_path / "batch", 4, 11)
