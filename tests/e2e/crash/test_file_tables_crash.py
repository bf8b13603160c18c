"""Runs into files with inferred columns die by SIGKILL while columns are added and widened; the next run finishes the
job, and every value is there once. In between a reader sees the old file or the new one."""

import csv
import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from e2e.crash.conftest import MOST_PAGES
from e2e.crash.crash_kit import MODES, STREAMED, Rig, Row

pytestmark = pytest.mark.matrix(share=55, pool="crashes of tables")

FORMATS = ["json", "parquet", "csv"]
POINTS = [
    "after_write:2",
    "after_receipt:2",
    "after_cursor:3",
    "after_verify",
    "after_ready",
    "after_publishing",
    "before_replace",
    "after_replace",
    "after_published",
    "random:7",
    "random:19",
]
IN_STREAMS = ["after_write:2", "after_cursor:3", "random:7"]
KEYS = 5
"""Extra keys. Each record of a version has one of them, so most pages add a column."""
LARGE = 2**62
"""Times 2 it is beyond 64 bits: the columns are widened in the second version."""
GROWS = f"data['v%d_%d' % (data['version'], data['id'] % {KEYS})] = data['id']\ndata['n'] = data['version'] * {LARGE}"
MOST_RUNS = 3


class TypedRig(Rig):
    """A pipeline into a file with inferred columns."""

    def __init__(self, folder: Path, mode: str, format: str) -> None:
        source = {"max_iterations": MOST_PAGES} if mode == STREAMED else {}
        super().__init__(folder, mode, format, **source)
        self.destination["unnest"] = True
        self.transforms = [{"label": "grow", "python": GROWS}]

    def rows(self) -> list[Row] | None:
        """Item and version of each row, sorted, once its other values are checked."""
        if not self.output.exists():
            return None
        files = sorted(self.output.iterdir()) if self.output.is_dir() else [self.output]
        return sorted(checked(row) for file in files for row in read(file))


def read(file: Path) -> list[dict[str, Any]]:
    if file.suffix == ".json":
        return [json.loads(line) for line in file.read_text().splitlines()]
    if file.suffix == ".csv":
        with file.open(newline="") as lines:
            return list(csv.DictReader(lines, strict=True))
    return pl.read_parquet(file, glob=False).to_dicts()


def checked(row: dict[str, Any]) -> Row:
    """Raises ValueError unless each value is the one that was sent, and nothing was rescued."""
    id_, version = int(row["id"]), int(row["version"])
    grown = {name: int(value) for name, value in row.items() if name.startswith("v") and "_" in name and value}
    wanted = {f"v{version}_{id_ % KEYS}": id_} if id_ else {}
    if {name: value for name, value in grown.items() if value} != wanted or row["_bizon_rescued"]:
        raise ValueError(f"other values than were sent: {row}")
    if int(row["n"]) != version * LARGE or row["_source_record_id"] != str(id_):
        raise ValueError(f"another record: {row}")
    return id_, version


Build = Callable[[str, str], TypedRig]


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Path]:
    """The folder of a finished first run, by sync mode and format."""
    made: dict[tuple[str, str], Path] = {}

    def get(mode: str, format: str) -> Path:
        if (mode, format) not in made:
            folder = tmp_path_factory.mktemp("typed")
            rig = TypedRig(folder, mode, format)
            assert rig.run() == 0, rig.log()
            assert rig.rows() == rig.expected()
            made[mode, format] = folder
        return made[mode, format]

    return get


@pytest.fixture
def grown(tmp_path: Path, published: Callable[[str, str], Path]) -> Build:
    """A pipeline that has loaded version 1, and whose source has version 2 now: with other keys."""

    def make(mode: str, format: str) -> TypedRig:
        folder = tmp_path / "run"
        shutil.copytree(published(mode, format), folder)
        rig = TypedRig(folder, mode, format)
        rig.change()
        return rig

    return make


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("point", POINTS)
def test_a_run_that_dies_while_columns_are_added_is_finished_by_the_next(
    grown: Build, point: str, mode: str, format: str
) -> None:
    rig = grown(mode, format)
    old = rig.rows()
    assert rig.run(point) == -signal.SIGKILL, rig.log()
    assert rig.rows() in (old, rig.expected())
    finish(rig)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("point", IN_STREAMS)
def test_a_stream_that_dies_while_columns_are_added_resumes(grown: Build, point: str, format: str) -> None:
    rig = grown(STREAMED, format)
    assert rig.run(point) == -signal.SIGKILL, rig.log()
    finish(rig)


def finish(rig: TypedRig) -> None:
    """Run until success; then every record is there once, and nothing is left behind."""
    codes: list[int] = []
    while not codes or codes[-1] != 0:
        assert len(codes) < MOST_RUNS, f"{codes}\n{rig.log()}"
        codes.append(rig.run())
    assert rig.rows() == rig.expected()
    assert rig.leftovers() == []
    assert "Traceback" not in rig.log()
