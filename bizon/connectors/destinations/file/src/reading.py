"""A file, read: its rows, its columns, and queries by Polars, which opens it for reading only."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import polars as pl

from bizon.connectors.destinations.file.src.columns import aligned
from bizon.connectors.destinations.file.src.lines import Lines
from bizon.destination.column_types import JSON, TEXT, ColumnType, Kind, column_type
from bizon.destination.columns import frame_type
from bizon.destination.readable import Answer, Cell, Field, NoTableError, NotReadError, TableReader, as_query, number
from bizon.destination.system_columns import SYSTEM_COLUMNS

_OURS = {**SYSTEM_COLUMNS, **{name[1:]: kind for name, kind in SYSTEM_COLUMNS.items()}, "source_data": TEXT}
_NUMBERS = (Kind.INT64, Kind.FLOAT64, Kind.DECIMAL)
_MOMENT = "%Y-%m-%dT%H:%M:%S%.6f"


class FileReader(TableReader):
    """A file, or the files of a folder. ``noted``: the columns that the manifest has. The rest of a file is never in
    memory; text is as it is in the file."""

    def __init__(self, main: Path, format: str, noted: Mapping[str, str]) -> None:
        self.table = main.name.removesuffix(f".{format}")
        self._paths = sorted(main.glob(f"*.{format}")) if main.is_dir() else [main]
        self._format = format
        self._kinds = {**_OURS, **{name: column_type(kind) for name, kind in noted.items()}}
        self._noted = noted

    def columns(self) -> Sequence[Field]:
        """As the file has them; the types of NDJSON and CSV are those that bizon has noted."""
        if self._format == "parquet":
            return [Field(name, self._type(name, dtype)) for name, dtype in self._frame().collect_schema().items()]
        return [Field(name, str(self._kinds.get(name, TEXT))) for name in self._names()]

    def count(self) -> int:
        """Parquet says it; other files are read."""
        if self._format == "json":
            return Lines(self._paths).count()
        return int(self._frame().select(pl.len()).collect().item())

    def rows(self, limit: int) -> Answer:
        """In the order of the file."""
        fields = self.columns()
        if self._format == "json":
            found = islice(Lines(self._paths).cells(), limit)
            return Answer(fields, [[row.get(field.name) for field in fields] for row in found])
        frame = self._frame().head(limit).collect()
        kinds = self._kinds if self._format == "csv" else {}
        return Answer(fields, _rows([_cells(frame[field.name], kinds.get(field.name)) for field in fields]))

    def query(self, sql: str, limit: int) -> Answer:
        """By Polars, lazily. The statement stands where only a query may stand."""
        lazy = self._lines() if self._format == "json" else self._frame()
        if self._format == "csv":
            lazy = lazy.with_columns(_parsed(name, self._kinds[name]) for name in self._names() if name in self._kinds)
        with pl.SQLContext({self.table: lazy}) as context:
            found = context.execute(as_query(sql)).head(limit).collect()
        fields = [Field(name, str(dtype)) for name, dtype in found.schema.items()]
        return Answer(fields, _rows([_cells(series) for series in found]))

    def _type(self, name: str, dtype: pl.DataType) -> str:
        kind = self._kinds.get(name)
        return str(kind) if kind is not None and frame_type(kind) == dtype else str(dtype)

    def _names(self) -> list[str]:
        if self._format == "csv":
            return self._frame().collect_schema().names()
        return [*dict.fromkeys([*next(Lines(self._paths).cells(), {}), *self._noted])]

    def _frame(self) -> pl.LazyFrame:
        if self._format == "parquet":
            return pl.concat(aligned(self._paths), how="diagonal")
        return pl.concat([pl.scan_csv(path, infer_schema=False, glob=False) for path in self._paths], how="diagonal")

    def _lines(self) -> pl.LazyFrame:
        kinds = {name: self._kinds.get(name) for name in self._names()}
        stored = {name: JSON if kind is None else TEXT if kind == JSON else kind for name, kind in kinds.items()}
        return Lines(self._paths).frame(stored)


@contextmanager
def reading(main: Path, format: str, noted: Mapping[str, str] | None) -> Iterator[FileReader]:
    """Within: a file can be read. Raises NoTableError, and NotReadError for what Polars refuses."""
    if not main.exists() or (main.is_dir() and not any(main.glob(f"*.{format}"))):
        raise NoTableError(f"'{main}'")
    try:
        yield FileReader(main, format, noted or {})
    except pl.exceptions.PolarsError as error:
        raise NotReadError(f"'{main}': Polars: {_first_line(error)}") from error
    except (OSError, ValueError) as error:
        raise NotReadError(f"'{main}' cannot be read: {error}") from error


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def _rows(columns: Sequence[Sequence[Cell]]) -> list[tuple[Cell, ...]]:
    return [*zip(*columns, strict=True)]


def _parsed(name: str, kind: ColumnType) -> pl.Expr:
    """A column of CSV with its type; moments stay text, which sorts as they do."""
    if kind.kind is Kind.DATE:
        return pl.col(name).str.to_date("%Y-%m-%d")
    if kind.kind is Kind.BOOLEAN:
        return pl.col(name) == "true"
    return pl.col(name).cast(frame_type(kind)) if kind.kind in _NUMBERS else pl.col(name)


def _cells(series: pl.Series, kind: ColumnType | None = None) -> Sequence[Cell]:
    """The values of a column. ``kind``: of the values in a column of text."""
    dtype = series.dtype
    if dtype == pl.Boolean:
        return series.to_list()
    if isinstance(dtype, pl.Datetime):
        return series.dt.strftime(_MOMENT + ("%:z" if dtype.time_zone else "")).to_list()
    if dtype == pl.Binary:
        return series.bin.encode("hex").to_list()
    if dtype.is_nested():
        return [None if value is None else str(value) for value in series.to_list()]
    texts = series.cast(pl.String).to_list()
    if kind is not None and kind.kind is Kind.BOOLEAN:
        return [None if text is None else text == "true" for text in texts]
    is_number = dtype.is_numeric() if kind is None else kind.kind in _NUMBERS
    return [None if text is None else number(text) if is_number else text for text in texts]
