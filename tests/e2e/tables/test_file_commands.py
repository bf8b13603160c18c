"""Files with inferred columns by the real command, in each format."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from connectors.destinations.file import test_file_tables as rules
from e2e.tables.look_cases import ClosedCases
from e2e.tables.table_cases import FlattenCases, ReaderCases, RescueCases, VerifyCases
from e2e.tables.table_kit import Table

SUITES = {"json": rules.TestLines, "csv": rules.TestCsv, "parquet": rules.TestParquet}


class FileTable(Table):
    def __init__(self, folder: Path, format: str) -> None:
        super().__init__(folder, "file", SUITES[format](), format=format, unnest=True)
        self.path = folder / f"items.{format}"

    def look(self, column: str) -> list[tuple[Any, ...]]:
        """Polars opens a Parquet file by its path more than once in one read; a reader that opens it once is asked."""
        if self.path.suffix != ".parquet":
            return super().look(column)
        frame = pl.read_parquet(BytesIO(self.path.read_bytes()))
        return [tuple(frame.select("_source_record_id", column).sort("_source_record_id").rows())]

    def leftovers(self) -> list[str]:
        staged = (path for path in (self.folder / ".bizon" / self.path.name).rglob("*") if path.is_file())
        return [path.name for path in staged if path.name not in ("manifest.json", "owner.json", "lock")]


@pytest.mark.matrix(share=40, pool="tables by the command")
class TestFile(FlattenCases, ReaderCases, RescueCases, VerifyCases, ClosedCases):
    outcomes = (({}, "removed", None), ({}, "changed", None))

    @pytest.fixture(params=SUITES)
    def table(self, tmp_path: Path, request: pytest.FixtureRequest) -> FileTable:
        return FileTable(tmp_path, request.param)

    @contextmanager
    def forbidden(self, table: Any) -> Iterator[str]:
        with table.unreadable(table.path):
            yield "ermission denied"

    @contextmanager
    def unreachable(self, table: Any) -> Iterator[str]:
        """The file has gone."""
        table.path.unlink()
        yield f"'{table.path}' does not exist; a run of the pipeline creates it"
