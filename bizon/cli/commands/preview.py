"""``bizon preview``: the first records of a pipeline, and what their columns are."""

import json
import shutil
from typing import TYPE_CHECKING, Any

from bizon.cli.looks import look
from bizon.cli.text.tables import Cell, shown_table
from bizon.cli.text.words import counted
from bizon.engine.looking import first_records
from bizon.rows.inferred import InferredColumn, inferred_columns

if TYPE_CHECKING:
    from bizon.cli.run_options import RunOptions
    from bizon.common.errors.errors import ExitCode
    from bizon.common.scrub import Scrubber
    from bizon.config.loading import LoadedConfig

_NUMBERS = frozenset({"integer", "number"})


def preview(config: str, count: int, options: "RunOptions", *, stream: str | None, as_json: bool) -> "ExitCode":
    """Print the records as tables, or as one JSON document. Raises ConfigError."""

    def parts(loaded: "LoadedConfig", scrub: "Scrubber") -> list[str]:
        records = [scrub.value(record) for record in first_records(loaded, count)]
        name = scrub(f"{loaded.config.source.name}.{loaded.config.source.stream}")
        columns = inferred_columns(records)
        return [_document(name, records, columns)] if as_json else _tables(name, records, columns)

    return look(config, options, stream, parts)


def _document(name: str, records: list[dict[str, Any]], columns: list[InferredColumn]) -> str:
    described = [column._asdict() for column in columns]
    return json.dumps({"stream": name, "records": records, "columns": described}, indent=2)


def _tables(name: str, records: list[dict[str, Any]], columns: list[InferredColumn]) -> list[str]:
    width = shutil.get_terminal_size().columns
    head = f"{name}: {counted(len(records), 'record')}, {counted(len(columns), 'column')}"
    if not columns:
        return [head]
    rows = [[record.get(column.name, Cell.MISSING) for column in columns] for record in records]
    right = {number for number, column in enumerate(columns) if column.type in _NUMBERS}
    types = [[column.name, column.type, f"{column.nulls:.0%}"] for column in columns]
    return [
        head,
        shown_table([column.name for column in columns], rows, width, right),
        shown_table(["column", "type", "nulls"], types, width, {2}),
    ]
