"""``bizon show`` and ``bizon schema``: the table of a pipeline, and the columns that the last run has changed."""

import shutil
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from bizon.cli.looks import look
from bizon.cli.text.answers import documents_of, json_text, masked, table_of
from bizon.cli.text.tables import shown_table, visible
from bizon.cli.text.words import counted
from bizon.destination.readable import Answer, is_ours
from bizon.engine.looking import changed_columns, open_table

if TYPE_CHECKING:
    from bizon.cli.run_options import RunOptions
    from bizon.common.errors.errors import ExitCode
    from bizon.common.scrub import Scrubber
    from bizon.config.loading import LoadedConfig
    from bizon.engine.looking import OpenTable

_RECORD = "source_data"


class _Found(NamedTuple):
    """``total``: the rows of the table; None for a query. ``more``: there are more rows than shown."""

    table: str
    place: str
    total: int | None
    answer: Answer
    more: bool


def show(
    config: str, count: int, options: "RunOptions", *, stream: str | None, sql: str | None, as_json: bool
) -> "ExitCode":
    """Print the rows as a table, or as one JSON document. Raises ConfigError."""
    return look(config, options, stream, lambda loaded, scrub: _shown(loaded, scrub, count, sql, as_json=as_json))


def show_schema(config: str, options: "RunOptions", *, stream: str | None, as_json: bool) -> "ExitCode":
    """Print the columns. Raises ConfigError."""
    return look(config, options, stream, lambda loaded, scrub: _columns(loaded, scrub, as_json=as_json))


def diff(config: str, options: "RunOptions", *, stream: str | None, as_json: bool) -> "ExitCode":
    """Print the columns that the last run has changed. Only the state is read. Raises ConfigError."""
    return look(config, options, stream, lambda loaded, scrub: _changes(loaded, scrub, as_json=as_json))


def _shown(loaded: "LoadedConfig", scrub: "Scrubber", count: int, sql: str | None, *, as_json: bool) -> list[str]:
    with open_table(loaded) as table:
        found = _read(table, count, sql)
    found = found._replace(table=scrub(found.table), place=scrub(found.place), answer=masked(found.answer, scrub))
    return [json_text(_document(found))] if as_json else _parts(found)


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


def _parts(found: _Found) -> list[str]:
    answer = found.answer if found.total is None else _ours_last(found.answer)
    rows = counted(len(answer.rows), "row")
    first = f"the first {rows}" if found.more else rows
    whole = first if found.total is None else counted(found.total, "row")
    head = f"{visible(found.table)}: {whole}, {counted(len(answer.columns), 'column')}"
    if not answer.columns:
        return [head]
    more = f"\n({first})" if found.more and found.total is not None else ""
    return [head, table_of(answer, _width()) + more, shown_table(["column", "type"], answer.columns, _width())]


def _ours_last(answer: Answer) -> Answer:
    """The columns of bizon at the end: a narrow terminal shows the columns of the records, or their JSON."""
    fields = answer.columns
    names = [field.name.lower().removeprefix("_") for field in fields]
    order = sorted(range(len(fields)), key=lambda place: is_ours(fields[place].name) and names[place] != _RECORD)
    return Answer([fields[place] for place in order], [[row[place] for place in order] for row in answer.rows])


def _columns(loaded: "LoadedConfig", scrub: "Scrubber", *, as_json: bool) -> list[str]:
    with open_table(loaded) as table:
        name, place = table.reader.table, table.place
        columns = [[field.name, field.type, table.origin_of(field)] for field in table.reader.columns()]
    heads = ["column", "type", "origin"]
    document = {
        "table": name,
        "place": place,
        "columns": [dict(zip(("name", *heads[1:]), column, strict=True)) for column in columns],
    }
    line = f"{name}: {counted(len(columns), 'column')}"
    return _listed(scrub, line, heads, columns) if not as_json else [json_text(scrub.value(document))]


def _changes(loaded: "LoadedConfig", scrub: "Scrubber", *, as_json: bool) -> list[str]:
    found = changed_columns(loaded)
    added = [["added", name, kind] for name, kind in found.changes.added.items()]
    widened = [["widened", name, f"{old} -> {new}"] for name, (old, new) in found.changes.widened.items()]
    document = {
        "job_id": found.job_id,
        "state": found.state,
        "added": [{"name": name, "type": kind} for _, name, kind in added],
        "widened": [{"name": name, "from": old, "to": new} for name, (old, new) in found.changes.widened.items()],
    }
    line = f"Last run: {found.state}, {counted(len(added), 'column')} added, {len(widened):,} widened"
    heads = ["change", "column", "type"]
    return _listed(scrub, line, heads, added + widened) if not as_json else [json_text(scrub.value(document))]


def _listed(scrub: "Scrubber", line: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    shown = [[scrub(text) for text in row] for row in rows]
    return [visible(scrub(line)), *([shown_table(heads, shown, _width())] if rows else [])]


def _width() -> int:
    return shutil.get_terminal_size().columns
