"""``bizon show``: the table of a pipeline, or what a query of it returns."""

import shutil
from typing import TYPE_CHECKING, Any, NamedTuple

from bizon.cli.files import in_folder_of_paths, loaded_from
from bizon.cli.output import report_error, say
from bizon.cli.text.answers import documents_of, json_text, masked, table_of
from bizon.cli.text.console_logs import console_logs
from bizon.cli.text.tables import shown_table, visible
from bizon.cli.text.words import counted
from bizon.common.errors.errors import ExitCode
from bizon.destination.readable import Answer
from bizon.engine.looking import open_table

if TYPE_CHECKING:
    from bizon.cli.options import RunOptions
    from bizon.engine.looking import OpenTable

_LEVEL = "WARNING"
_OURS = ("_bizon_", "_source_", "bizon_", "source_record_id", "source_timestamp")


class _Found(NamedTuple):
    """``total``: the rows of the table; None for a query. ``more``: there are more rows than shown."""

    table: str
    place: str
    total: int | None
    answer: Answer
    more: bool


def show(
    config: str, count: int, options: "RunOptions", *, stream: str | None, sql: str | None, as_json: bool
) -> ExitCode:
    """Print the rows as a table, or as one JSON document. Raises ConfigError."""
    with in_folder_of_paths(config, options.custom_source, options.env_file) as (path, (custom_source, env_file)):
        loaded = loaded_from(path, custom_source, env_file, stream=stream)
        scrub = loaded.scrubber()
        try:
            with console_logs(_LEVEL, scrub), open_table(loaded) as table:
                found = _read(table, count, sql)
        except Exception as error:  # noqa: BLE001 - shown here, where the secrets of the configuration are known
            return report_error(error, scrub)
    found = found._replace(table=scrub(found.table), place=scrub(found.place), answer=masked(found.answer, scrub))
    if as_json:
        say(json_text(_document(found)))
    else:
        _show(found)
    return ExitCode.OK


def _read(table: "OpenTable", count: int, sql: str | None) -> _Found:
    reader = table.reader
    if sql is None:
        rows, answer = reader.count(), reader.rows(count)
        return _Found(reader.table, table.place, rows, answer, more=rows > len(answer.rows))
    answer = reader.query(sql, count + 1)
    kept = answer._replace(rows=answer.rows[:count])
    return _Found(reader.table, table.place, None, kept, more=len(answer.rows) > count)


def _document(found: _Found) -> dict[str, Any]:
    return {
        "table": found.table,
        "place": found.place,
        "count": found.total,
        "columns": [field._asdict() for field in found.answer.columns],
        "rows": documents_of(found.answer),
        "more": found.more,
    }


def _show(found: _Found) -> None:
    width, answer = shutil.get_terminal_size().columns, found.answer
    if found.total is not None:
        answer = _ours_last(answer)
    rows = counted(len(answer.rows), "row")
    first = f"the first {rows}" if found.more else rows
    whole = first if found.total is None else counted(found.total, "row")
    say(f"{visible(found.table)}: {whole}, {counted(len(answer.columns), 'column')}")
    if not answer.columns:
        return
    say("")
    say(table_of(answer, width))
    if found.more and found.total is not None:
        say(f"({first})")
    say("")
    say(shown_table(["column", "type"], answer.columns, width))


def _ours_last(answer: Answer) -> Answer:
    """The columns of bizon at the end: a narrow terminal shows the columns of the records."""
    fields = answer.columns
    order = sorted(range(len(fields)), key=lambda place: fields[place].name.startswith(_OURS))
    return Answer([fields[place] for place in order], [[row[place] for place in order] for row in answer.rows])
