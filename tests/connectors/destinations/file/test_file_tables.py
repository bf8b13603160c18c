"""Inferred columns of the file destination: it claims the rules of typed tables, in each format."""

import csv
import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import matrices
import polars as pl
import pytest

from bizon.connectors.destinations.file.src.config import FileDestinationConfig
from bizon.testing.tables import TableConformance

pytestmark = pytest.mark.matrix(share=28, pool="rules of tables")


def files(config: Any) -> list[Path]:
    """The output: a file, or the files of a folder in sync mode stream; none before it is there."""
    path = Path(f"{config.config.destination_id}.{config.config.format}")
    return sorted(path.iterdir()) if path.is_dir() else [path] if path.exists() else []


def noted(config: Any) -> dict[str, str]:
    """The columns that the manifest names."""
    path = Path(f"{config.config.destination_id}.{config.config.format}")
    manifest = path.parent / ".bizon" / path.name / "manifest.json"
    return json.loads(manifest.read_bytes())["columns"] or {} if manifest.exists() else {}


def together(parts: Sequence[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The rows of all parts, with the same columns."""
    names = dict.fromkeys(name for part in parts for row in part for name in row)
    return [dict.fromkeys(names) | row for part in parts for row in part]


class FileTables(TableConformance):
    format = ""
    damages = True
    client = ("posix",)
    most_interruptions = matrices.interruptions()

    @pytest.fixture
    def config(self, tmp_path: Path) -> FileDestinationConfig:
        details = {"destination_id": str(tmp_path / "out"), "format": self.format, "unnest": True}
        return FileDestinationConfig(name="file", config=details)

    def types(self, config: Any) -> Mapping[str, str]:
        return noted(config)

    def damage(self, config: Any, how: str) -> None:
        (staged,) = Path(config.config.destination_id).parent.glob(".bizon/*/*.????????/*0000000002-*.parquet")
        frame = pl.read_parquet(staged)
        changed = frame[1:] if how == "removed" else frame.with_columns(c=pl.lit("[]"))
        changed.write_parquet(staged)


class TestLines(FileTables):
    format = "json"

    def rows(self, config: Any) -> list[dict[str, Any]]:
        lines = [line for file in files(config) for line in file.read_text().split("\n")[:-1]]
        found = together([[json.loads(line, parse_float=Decimal) for line in lines]])
        return [dict.fromkeys(noted(config)) | row for row in found]

    def damage(self, config: Any, how: str) -> None:
        (staged,) = Path(config.config.destination_id).parent.glob(".bizon/*/*.????????/*.json")
        lines = staged.read_text().splitlines(keepends=True)
        last = [] if how == "removed" else [lines[-1].replace("1.10", "1.11")]
        staged.write_text("".join([*lines[:-1], *last]))


class TestParquet(FileTables):
    format = "parquet"

    def rows(self, config: Any) -> list[dict[str, Any]]:
        return together([pl.read_parquet(file, glob=False).rows(named=True) for file in files(config)])

    def types(self, config: Any) -> Mapping[str, str]:
        """The manifest says the same as the file."""
        if Path(f"{config.config.destination_id}.parquet").is_file():
            schema = pl.read_parquet_schema(f"{config.config.destination_id}.parquet")
            assert [name for name in schema if not name.startswith(("_bizon_", "_source_"))] == [*noted(config)]
        return noted(config)


class TestCsv(FileTables):
    format = "csv"

    def rows(self, config: Any) -> list[dict[str, Any]]:
        found = together([read_csv(file) for file in files(config)])
        truths = [name for name, kind in noted(config).items() if kind == "boolean"]
        values = {"true": True, "false": False, None: None}
        return [row | {name: values[row[name]] for name in truths} for row in found]


def read_csv(file: Path) -> list[dict[str, Any]]:
    """The rows as text; what is not quoted and empty is None."""
    csv.field_size_limit(10_000_000)
    with file.open(newline="", encoding="utf-8") as lines:
        widths = {len(row) for row in csv.reader(lines, strict=True)}
    assert len(widths) == 1, "all lines have the same number of values"
    names, *rows = pl.read_csv(file, has_header=False, infer_schema=False, glob=False).rows()
    return [dict(zip(names, row, strict=True)) for row in rows]
