"""``bizon preview``: the first records of a pipeline, and what their columns are."""

import json
import shutil
from typing import TYPE_CHECKING, Any

from bizon.cli.files import in_folder_of_paths, loaded_from
from bizon.cli.output import report_error, say
from bizon.cli.text.console_logs import console_logs
from bizon.cli.text.tables import Cell, shown_table
from bizon.cli.text.words import counted
from bizon.common.errors.errors import ExitCode
from bizon.engine.looking import first_records
from bizon.rows.inferred import InferredColumn, inferred_columns

if TYPE_CHECKING:
    from bizon.cli.options import RunOptions

_LEVEL = "WARNING"
_NUMBERS = frozenset({"integer", "number"})


def preview(config: str, count: int, options: "RunOptions", *, stream: str | None, as_json: bool) -> ExitCode:
    """Print the records as tables, or as one JSON document. Raises ConfigError."""
    with in_folder_of_paths(config, options.custom_source, options.env_file) as (path, (custom_source, env_file)):
        loaded = loaded_from(path, custom_source, env_file, stream=stream)
        scrub = loaded.scrubber()
        try:
            with console_logs(_LEVEL, scrub):
                records = [scrub.value(record) for record in first_records(loaded, count)]
        except Exception as error:  # noqa: BLE001 - shown here, where the secrets of the configuration are known
            return report_error(error, scrub)
    name = scrub(f"{loaded.config.source.name}.{loaded.config.source.stream}")
    columns = inferred_columns(records)
    if as_json:
        say(_document(name, records, columns))
    else:
        _show(name, records, columns)
    return ExitCode.OK


def _document(name: str, records: list[dict[str, Any]], columns: list[InferredColumn]) -> str:
    described = [column._asdict() for column in columns]
    return json.dumps({"stream": name, "records": records, "columns": described}, indent=2)


def _show(name: str, records: list[dict[str, Any]], columns: list[InferredColumn]) -> None:
    width = shutil.get_terminal_size().columns
    say(f"{name}: {counted(len(records), 'record')}, {counted(len(columns), 'column')}")
    if not columns:
        return
    rows = [[record.get(column.name, Cell.MISSING) for column in columns] for record in records]
    right = {number for number, column in enumerate(columns) if column.type in _NUMBERS}
    say("")
    say(shown_table([column.name for column in columns], rows, width, right))
    say("")
    types = [[column.name, column.type, f"{column.nulls:.0%}"] for column in columns]
    say(shown_table(["column", "type", "nulls"], types, width, {2}))
