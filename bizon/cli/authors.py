"""The commands for authors of connectors, and those that look at both ends of a pipeline. ``main.py`` registers them;
like there, only typer is imported here."""

from typing import Annotated, Literal

import typer

from bizon.cli import options as given

NewName = Annotated[str, typer.Argument(metavar="NAME", help="Name of the new source, for example my_api.")]
NewDestination = Annotated[str, typer.Argument(metavar="NAME", help="Name of the new destination, for example my_db.")]
DestinationStyle = Annotated[
    Literal["table", "http", "files"],
    typer.Option("--style", help="A table of a SQL database, requests to an endpoint, or a file per batch."),
]
Style = Annotated[
    Literal["http", "graphql", "rows"],
    typer.Option("--style", help="Lists of an HTTP API, lists of a GraphQL API, or rows of a database."),
]
Paging = Annotated[
    Literal["cursor", "page", "offset", "link", "token"],
    typer.Option(
        "--paging",
        help="How the API leads to the next page. A URL or a token in a header: link or token, and one line to change.",
    ),
]
Incremental = Annotated[
    Literal["time", "token", "filter"] | None,
    typer.Option(
        "--incremental",
        help="How changes are found: the API filters by time, the API gives a sync token, or the source filters what "
        "it fetched. Without the option, every run fetches everything.",
    ),
]
Into = Annotated[
    str | None,
    typer.Option(
        "--into",
        metavar="DIR",
        help="Folder for the files. Default: the current folder; at the root of bizon's repository, its tree.",
    ),
]
AsPackage = Annotated[
    bool, typer.Option("--package", help="Create a package with an entry point, to install next to bizon.")
]

SourceName = Annotated[
    str | None, typer.Option("--source", metavar="SOURCE", help="A built-in source, or a preset of `rest`.")
]
StreamName = Annotated[
    str | None, typer.Option("--stream", metavar="STREAM", help="A stream of the source. Default: its usual one.")
]
DestinationName = Annotated[
    str | None, typer.Option("--destination", metavar="DESTINATION", help="A built-in destination.")
]
Url = Annotated[
    str, typer.Argument(metavar="URL", help="Address of a list, for example https://api.example.com/v2/orders.")
]
Header = Annotated[
    list[str] | None,
    typer.Option("--header", metavar="NAME:VALUE", help="Header of every request; may be given several times."),
]
Auth = Annotated[
    str | None,
    typer.Option(
        "--auth",
        metavar="KIND:VALUE",
        help="bearer:TOKEN or basic:USER:PASSWORD. The value may be a reference, such as BIZON_ENV_API_TOKEN, which "
        "keeps it out of the history of the shell.",
    ),
]
Output = Annotated[
    str | None, typer.Option("--output", "-o", metavar="FILE", help="File to write. Default: print the YAML.")
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite the file if it exists.")]

Count = Annotated[int, typer.Option("-n", "--records", min=1, metavar="N", help="Number of records to show.")]
Stream = Annotated[
    str | None,
    typer.Option(
        "--stream",
        metavar="STREAM",
        help="Stream to read, or whose table to read: one of several in CONFIG; else it overrides source.stream.",
    ),
]


RowCount = Annotated[int, typer.Option("-n", "--rows", min=1, metavar="N", help="Number of rows to show.")]
Sql = Annotated[
    str | None,
    typer.Option(
        "--sql",
        metavar="SQL",
        help="Query to show the rows of, in the SQL of the destination. One that would write is refused.",
    ),
]


def new_source(
    name: NewName,
    style: Style = "http",
    paging: Paging = "cursor",
    incremental: Incremental = None,
    into: Into = None,
    package: AsPackage = False,
) -> None:
    """Create the source NAME: its configuration, the source, an example, and a test with a stand-in of the API. No file
    is overwritten."""
    from bizon.cli.commands.scaffolding import create_source
    from bizon.cli.output import guarded

    with guarded():
        create_source(name, (style, paging, incremental), into=into, package=package)


def init(
    source: SourceName = None,
    stream: StreamName = None,
    destination: DestinationName = None,
    output: Output = None,
    force: Force = False,
) -> None:
    """Print a pipeline file with comments, to begin with. On a terminal it asks for what the options leave open; in a
    script the source is dummy and the destination file."""
    from bizon.cli.commands import beginning
    from bizon.cli.output import guarded

    with guarded():
        beginning.init(source, stream, destination, output, force=force)


def guess_source(
    url: Url, header: Header = None, auth: Auth = None, output: Output = None, force: Force = False
) -> None:
    """Look at a few live answers of URL, the address of a list of an API, and print a `rest` pipeline to begin with:
    records, id, paging, timestamp, changes. Secrets become references to variables. Exit code 1 when it cannot be read.
    """
    from bizon.cli.commands.beginning import guess
    from bizon.cli.output import guarded

    with guarded():
        guess(url, header or [], auth, output, force=force)


def new_destination(
    name: NewDestination, style: DestinationStyle = "table", into: Into = None, package: AsPackage = False
) -> None:
    """Create the destination NAME: its configuration, the destination, an example, and a test that claims the
    conformance suite. At the root of bizon's repository it is registered, too. No file is overwritten."""
    from bizon.cli.commands.scaffolding import create_destination
    from bizon.cli.output import guarded

    with guarded():
        create_destination(name, style, into=into, package=package)


def check(
    config: given.Config,
    stream: given.OneStream = None,
    custom_source: given.CustomSource = None,
    env_file: given.EnvFile = None,
    as_json: given.AsJson = False,
) -> None:
    """Check that the source and the destination of CONFIG are reached and let us in. A line for each attempt; no job is
    opened and nothing is written. Exit code 1 when one fails."""
    from bizon.cli.commands import check as command
    from bizon.cli.output import guarded

    with guarded():
        code = command.check(config, custom_source, env_file, stream=stream, as_json=as_json)
    raise typer.Exit(code)


def preview(
    config: given.Config,
    count: Count = 20,
    stream: Stream = None,
    custom_source: given.CustomSource = None,
    env_file: given.EnvFile = None,
    as_json: given.AsJson = False,
) -> None:
    """Show the first records of CONFIG after its transforms, and the type and the share of nulls of each column.

    Nothing is written, and no state is needed."""
    from bizon.cli.commands import preview as command
    from bizon.cli.output import guarded
    from bizon.cli.run_options import RunOptions

    options = RunOptions(custom_source=custom_source, env_file=env_file)
    with guarded():
        code = command.preview(config, count, options, stream=stream, as_json=as_json)
    raise typer.Exit(code)


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
    from bizon.cli.run_options import RunOptions

    options = RunOptions(custom_source=custom_source, env_file=env_file)
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
    from bizon.cli.commands import show as command
    from bizon.cli.output import guarded
    from bizon.cli.run_options import RunOptions

    options = RunOptions(custom_source=custom_source, env_file=env_file)
    with guarded():
        code = command.show_schema(config, options, stream=stream, as_json=as_json)
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
    from bizon.cli.commands import show as command
    from bizon.cli.output import guarded
    from bizon.cli.run_options import RunOptions

    options = RunOptions(custom_source=custom_source, env_file=env_file)
    with guarded():
        code = command.diff(config, options, stream=stream, as_json=as_json)
    raise typer.Exit(code)
