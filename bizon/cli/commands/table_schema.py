"""``bizon schema show`` and ``bizon schema diff``: the columns of a table, and those that the last run has changed."""

import json
import shutil
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bizon.cli.files import in_folder_of_paths, loaded_from
from bizon.cli.output import report_error, say
from bizon.cli.text.console_logs import console_logs
from bizon.cli.text.tables import shown_table, visible
from bizon.cli.text.words import counted
from bizon.common.errors.errors import ExitCode
from bizon.engine.looking import changed_columns, open_table

if TYPE_CHECKING:
    from collections.abc import Callable

    from bizon.cli.options import RunOptions
    from bizon.config.loading import LoadedConfig

_LEVEL = "WARNING"
_Answer = tuple[dict[str, Any], str, Sequence[str], Sequence[Sequence[str]]]
"""A JSON document; the same for people: a line, and a table with its heads."""


def show(config: str, options: "RunOptions", *, stream: str | None, as_json: bool) -> ExitCode:
    """Print the columns. Raises ConfigError."""
    return _print(config, options, stream, _columns, as_json=as_json)


def diff(config: str, options: "RunOptions", *, stream: str | None, as_json: bool) -> ExitCode:
    """Print the changes. Only the state is read. Raises ConfigError."""
    return _print(config, options, stream, _changes, as_json=as_json)


def _columns(loaded: "LoadedConfig") -> _Answer:
    with open_table(loaded) as table:
        name, place = table.reader.table, table.place
        columns = [[field.name, field.type, table.origin_of(field)] for field in table.reader.columns()]
    heads = ["column", "type", "origin"]
    document = {
        "table": name,
        "place": place,
        "columns": [dict(zip(("name", *heads[1:]), column, strict=True)) for column in columns],
    }
    return document, f"{name}: {counted(len(columns), 'column')}", heads, columns


def _changes(loaded: "LoadedConfig") -> _Answer:
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
    return document, line, ["change", "column", "type"], added + widened


def _print(
    config: str,
    options: "RunOptions",
    stream: str | None,
    look: "Callable[[LoadedConfig], _Answer]",
    *,
    as_json: bool,
) -> ExitCode:
    with in_folder_of_paths(config, options.custom_source, options.env_file) as (path, (custom_source, env_file)):
        loaded = loaded_from(path, custom_source, env_file, stream=stream)
        scrub = loaded.scrubber()
        try:
            with console_logs(_LEVEL, scrub):
                document, line, heads, rows = look(loaded)
        except Exception as error:  # noqa: BLE001 - shown here, where the secrets of the configuration are known
            return report_error(error, scrub)
    if as_json:
        say(json.dumps(scrub.value(document), indent=2))
        return ExitCode.OK
    say(visible(scrub(line)))
    if rows:
        say("")
        shown = [[scrub(text) for text in row] for row in rows]
        say(shown_table(heads, shown, shutil.get_terminal_size().columns))
    return ExitCode.OK
