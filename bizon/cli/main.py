"""The ``bizon`` command. Only typer is imported here, so that ``--help`` answers at once; commands import in their
bodies and delegate."""

from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from bizon.cli import authors
from bizon.cli import options as given

_HELP = "Extract and load large data streams, checkpointed at every step."
_EXIT_CODES = (
    "Exit codes: 0 success, 1 failure, 2 wrong configuration or usage, 3 another run of the pipeline is in progress, "
    "130 stopped by a signal."
)


class _LightFlags:
    """Flags default to false, as --help does. Without a default typer loads pydantic to convert the flag."""

    def get_params(self, ctx: Any) -> Any:
        params = super().get_params(ctx)  # type: ignore[misc]  # a mixin: the other base class has the method
        for param in params:
            if getattr(param, "is_flag", False) and param.default is None:
                param.default = False
        return params


class _Group(_LightFlags, TyperGroup):
    """A group of commands."""


class _Command(_LightFlags, TyperCommand):
    """A command."""


def _group(text: str, *, with_completion: bool = False) -> typer.Typer:
    return typer.Typer(
        help=text,
        cls=_Group,
        no_args_is_help=True,
        add_completion=with_completion,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,  # plain help is the same on every terminal, and never truncated
        context_settings={"help_option_names": ["-h", "--help"]},
    )


cli = _group(f"{_HELP}\n\n{_EXIT_CODES}", with_completion=True)
_source = _group("Sources to read records from.")
_stream = _group("The streams of a source.")
_destination = _group("Destinations to write records to.")
_config = _group("Check and describe pipeline files.")
_schema = _group("The columns of a destination's table.")
cli.add_typer(_source, name="source")
cli.add_typer(_stream, name="stream")
cli.add_typer(_destination, name="destination")
cli.add_typer(_config, name="config")
cli.add_typer(_schema, name="schema")


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"bizon {version('bizon')}")
        raise typer.Exit


@cli.callback()
def _main(
    _version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    pass


@cli.command(
    cls=_Command, help=f"Run the pipeline that CONFIG describes.\n\nA run that ended early resumes. {_EXIT_CODES}"
)
def run(
    config: given.Config,
    custom_source: given.CustomSource = None,
    runner: given.Runner = None,
    role: given.Role = None,
    join: given.Join = False,
    join_id: given.JoinId = None,
    log_level: given.Level = None,
    env_file: given.EnvFile = None,
    result_json: given.ResultJson = None,
    fresh: given.Fresh = False,
    full_refresh: given.FullRefresh = False,
    since: given.Since = None,
    until: given.Until = None,
    adopt: given.Adopt = False,
    stream: given.Streams = None,
) -> None:
    """See ``help`` above."""
    from bizon.cli.commands.run import run_pipeline
    from bizon.cli.run_options import RunOptions

    options = RunOptions(
        custom_source=custom_source,
        runner=runner and runner.value,
        role=role,
        log_level=log_level and log_level.value,
        env_file=env_file,
        result_json=result_json,
        fresh=fresh,
        full_refresh=full_refresh,
        since=since,
        until=until,
        adopt=adopt,
        streams=tuple(stream or ()),
        join=join,
        join_id=join_id,
    )
    raise typer.Exit(run_pipeline(config, options))


cli.command(cls=_Command)(authors.init)
cli.command(cls=_Command)(authors.check)
cli.command(cls=_Command)(authors.preview)
cli.command(cls=_Command)(authors.show)
_schema.command("show", cls=_Command)(authors.schema_show)
_schema.command("diff", cls=_Command)(authors.schema_diff)


@_source.command("list", cls=_Command)
def source_list() -> None:
    """List the built-in sources and their streams."""
    from bizon.cli.commands.listing import print_sources
    from bizon.cli.output import guarded

    with guarded():
        print_sources()


@_source.command("test", cls=_Command)
def source_test(
    config: given.Config,
    custom_source: given.CustomSource = None,
    env_file: given.EnvFile = None,
    record: given.Record = None,
    replay: given.Replay = None,
    stream: given.OneStream = None,
    as_json: given.AsJson = False,
) -> None:
    """Test the source of CONFIG against the conformance suite: one line per behaviour. Nothing is written. Exit code 1
    when a behaviour fails."""
    from bizon.cli.commands.source_test import SuiteOptions, run_suite
    from bizon.cli.output import guarded

    with guarded():
        code = run_suite(config, SuiteOptions(custom_source, env_file, record, replay, as_json, stream))
    raise typer.Exit(code)


_source.command("new", cls=_Command)(authors.new_source)
_source.command("guess", cls=_Command)(authors.guess_source)


@_stream.command("list", cls=_Command)
def stream_list(
    source: given.SourceOrConfig, custom_source: given.LabelledSource = None, env_file: given.EnvFile = None
) -> None:
    """List the streams of a source and whether each supports incremental."""
    from bizon.cli.commands.listing import is_a_pipeline, print_offered, print_streams
    from bizon.cli.output import guarded

    with guarded():
        if is_a_pipeline(source):
            print_offered(source, custom_source, env_file)
        else:
            print_streams(source, custom_source)


@_stream.command("reset", cls=_Command)
def stream_reset(
    config: given.Config,
    cancel: given.Cancel = False,
    stream: given.OneStream = None,
    custom_source: given.CustomSource = None,
    env_file: given.EnvFile = None,
) -> None:
    """Make the next run of CONFIG fetch everything again and replace the output, in any sync mode; or take that back.
    A run that is in progress does not notice a reset. --cancel is refused meanwhile, with exit code 3."""
    from bizon.cli.commands.state import reset
    from bizon.cli.output import guarded

    with guarded():
        reset(config, custom_source, env_file, stream=stream, cancel=cancel)


@cli.command(cls=_Command)
def status(
    configs: given.Configs,
    stream: given.OneStream = None,
    custom_source: given.CustomSource = None,
    env_file: given.EnvFile = None,
    as_json: given.AsJson = False,
) -> None:
    """Show how far the pipeline of each CONFIG is: its newest job, last checkpoint, lease and error. Needs only the
    secrets of the state. Exit code 1 when a newest job has failed or was killed."""
    from bizon.cli.commands.state import show
    from bizon.cli.output import guarded

    with guarded():
        code = show(configs, custom_source, env_file, stream=stream, as_json=as_json)
    raise typer.Exit(code)


_destination.command("new", cls=_Command)(authors.new_destination)


@_destination.command("list", cls=_Command)
def destination_list() -> None:
    """List the destinations. A destination that is not installed is shown with the extra to install."""
    from bizon.cli.commands.listing import print_destinations
    from bizon.cli.output import guarded

    with guarded():
        print_destinations()


@_config.command("validate", cls=_Command)
def config_validate(
    configs: given.Configs, custom_source: given.CustomSource = None, env_file: given.EnvFile = None
) -> None:
    """Check each CONFIG without contacting anything. Exit code 2 and one line per mistake if one is wrong."""
    from bizon.cli.files import for_each, validate
    from bizon.cli.output import guarded

    with guarded():
        code = for_each(configs, custom_source, env_file, validate)
    raise typer.Exit(code)


@_config.command("schema", cls=_Command)
def config_schema() -> None:
    """Print the JSON Schema of CONFIG, for completion and checks in an editor."""
    from bizon.cli.commands.schema import print_schema
    from bizon.cli.output import guarded

    with guarded():
        print_schema()
