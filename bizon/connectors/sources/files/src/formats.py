"""From one version of a file to the reader of its rows."""

from typing import TYPE_CHECKING, Any

from bizon.common.errors.errors import SourceFetchError
from bizon.connectors.sources.files.src.compression import uncompressed_name
from bizon.connectors.sources.files.src.config import FileFormat
from bizon.connectors.sources.files.src.content import Content
from bizon.connectors.sources.files.src.csv_file import CsvReader, read_header
from bizon.connectors.sources.files.src.csv_records import Dialect
from bizon.connectors.sources.files.src.exact_values import value_at
from bizon.connectors.sources.files.src.frame_rows import FrameShape
from bizon.connectors.sources.files.src.json_values import JsonReader
from bizon.connectors.sources.files.src.line_shape import LineShape
from bizon.connectors.sources.files.src.ndjson import NdjsonReader
from bizon.connectors.sources.files.src.parquet_file import ParquetReader
from bizon.connectors.sources.files.src.path_columns import PathColumns

if TYPE_CHECKING:
    from bizon.connectors.sources.files.src.config import FilesSourceConfig
    from bizon.connectors.sources.files.src.json_rows import RowReader
    from bizon.connectors.sources.files.src.storage import OpenFile

_EXTENSIONS = {
    "ndjson": FileFormat.NDJSON,
    "jsonl": FileFormat.NDJSON,
    "csv": FileFormat.CSV,
    "tsv": FileFormat.CSV,
    "parquet": FileFormat.PARQUET,
    "pq": FileFormat.PARQUET,
}
_PARQUET = b"PAR1"
_HEAD = 65_536  # bytes that tell a format


def reader_of(file: "OpenFile", config: "FilesSourceConfig", at: dict[str, Any]) -> "RowReader":
    """The reader of a file from a position on: one that a reader returned, or an empty one for the start. Raises
    SourceFetchError for a file that is not what its format says."""
    path, row, offset = file.info.path, at.get("row", 0), at.get("offset", 0)
    added = PathColumns(path, is_wanted=config.include_path)
    shape = FrameShape(path, config.id_fields, added)
    lines = LineShape(path, config.id_fields, added)
    kind = _format_of(file, config)
    if kind is FileFormat.PARQUET:
        return ParquetReader(file, shape, row=row, at_once=at.get("rows", 0), piece_size=config.piece_size)
    if kind is FileFormat.CSV:
        return _csv(file, config, shape, at)
    reader = NdjsonReader if kind is FileFormat.NDJSON else JsonReader
    return reader(Content(file, config, offset), lines, row)


def _csv(file: "OpenFile", config: "FilesSourceConfig", shape: FrameShape, at: dict[str, Any]) -> CsvReader:
    is_tsv = uncompressed_name(file.info.path).lower().endswith(".tsv")
    dialect = Dialect(config.delimiter or ("\t" if is_tsv else ","), config.quote)
    header = read_header(Content(file, config), dialect, has_header=config.header, names=config.columns)
    if header.columns:
        shape.check(header.columns)
    content = Content(file, config, at.get("offset", header.length))
    return CsvReader(content, dialect, header.columns, shape, row=at.get("row", 0), line=at.get("line", header.lines))


def _format_of(file: "OpenFile", config: "FilesSourceConfig") -> FileFormat:
    """The format by configuration, extension or content."""
    if config.format is not FileFormat.AUTO:
        return config.format
    path = file.info.path
    extension = uncompressed_name(path).rpartition("/")[2].rpartition(".")[2].lower()
    if extension in _EXTENSIONS:
        return _EXTENSIONS[extension]
    if file.read_at(0, len(_PARQUET)) == _PARQUET:
        return FileFormat.PARQUET
    content = Content(file, config)
    text = content.ahead(_HEAD).decode(content.encoding, "replace").lstrip()
    if extension == "json" or text[:1] in ("[", "{"):
        return _kind_of_json(text)
    raise SourceFetchError(f"{content.place}: its format is not clear from its name: set source.format")


def _kind_of_json(text: str) -> FileFormat:
    """One array or object, or an object per line: such files are often named .json, too."""
    if not text.startswith("{"):
        return FileFormat.JSON
    try:
        _, end = value_at(text, 0)
    except ValueError:  # the first object is longer than the text, or not valid
        return FileFormat.JSON if "\n" in text.strip() else FileFormat.NDJSON
    return FileFormat.NDJSON if text[end:].strip() else FileFormat.JSON
