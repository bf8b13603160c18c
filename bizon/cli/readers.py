"""The commands that read a destination. ``main.py`` registers them; like there, only typer is imported here."""

from typing import Annotated

import typer

from bizon.cli import options as given

RowCount = Annotated[int, typer.Option("-n", "--rows", min=1, metavar="N", help="Number of rows to show.")]
Sql = Annotated[
    str | None,
    typer.Option(
        "--sql",
        metavar="SQL",
        help="Query to show the rows of, in the SQL of the destination. One that would write is refused.",
    ),
]
Stream = Annotated[
    str | None, typer.Option("--stream", metavar="STREAM", help="Stream of the table. Overrides source.stream.")
]


def show(
    config: given.Config,
    count: RowCount = 20,
    sql: Sql = None,
    stream: Stream = None,
    custom_source: given.CustomSource = None,
    env_file: given.EnvFile = None,
    as_json: given.AsJson = False,
) -> None:
    """Show the rows, the columns and the number of rows of the table that CONFIG writes, or what a query of it returns.

    Nothing is created or changed, and no state is needed. Exit code 1 when there is no table."""
    from bizon.cli.commands import show as command
    from bizon.cli.output import guarded

    options = given.RunOptions(custom_source=custom_source, env_file=env_file)
    with guarded():
        code = command.show(config, count, options, stream=stream, sql=sql, as_json=as_json)
    raise typer.Exit(code)


def schema_show(
    config: given.Config,
    stream: Stream = None,
    custom_source: given.CustomSource = None,
    env_file: given.EnvFile = None,
    as_json: given.AsJson = False,
) -> None:
    """Show the columns that the table of CONFIG has, with their types and where they come from: bizon, record_schemas,
    or inference. Nothing is created or changed."""
    from bizon.cli.commands import table_schema as command
    from bizon.cli.output import guarded

    options = given.RunOptions(custom_source=custom_source, env_file=env_file)
    with guarded():
        code = command.show(config, options, stream=stream, as_json=as_json)
    raise typer.Exit(code)


def schema_diff(
    config: given.Config,
    stream: Stream = None,
    custom_source: given.CustomSource = None,
    env_file: given.EnvFile = None,
    as_json: given.AsJson = False,
) -> None:
    """Show the columns that the last run of CONFIG has added or widened, from its checkpoints. Only the state is read.
    Exit code 1 when the state does not say."""
    from bizon.cli.commands import table_schema as command
    from bizon.cli.output import guarded

    options = given.RunOptions(custom_source=custom_source, env_file=env_file)
    with guarded():
        code = command.diff(config, options, stream=stream, as_json=as_json)
    raise typer.Exit(code)
