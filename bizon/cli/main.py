"""The ``bizon`` command. Only typer is imported here, so that ``--help`` answers at once; commands import in their
bodies and delegate."""

from enum import StrEnum
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperCommand, TyperGroup

_HELP = "Extract and load large data streams, checkpointed at every step."
_EXIT_CODES = (
    "Exit codes: 0 success, 1 failure, 2 wrong configuration or usage, 3 another run of the pipeline is at work, "
    "130 stopped by a signal."
)


class _LightFlags:
    """Flags that are false when they are not given, as --help: typer loads pydantic to make a flag of nothing."""

    def get_params(self, ctx: Any) -> Any:
        params = super().get_params(ctx)  # type: ignore[misc]  # a mixin: the class beside it has the method
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
        rich_markup_mode=None,  # plain help is the same on every terminal, and nothing in it is cut off
        context_settings={"help_option_names": ["-h", "--help"]},
    )


cli = _group(f"{_HELP}\n\n{_EXIT_CODES}", with_completion=True)
_source = _group("What records can be read from.")
_stream = _group("The streams of a source.")
_destination = _group("What records can be written to.")
_config = _group("Check and describe pipeline files.")
cli.add_typer(_source, name="source")
cli.add_typer(_stream, name="stream")
cli.add_typer(_destination, name="destination")
cli.add_typer(_config, name="config")


class RunnerName(StrEnum):
    """Values of ``--runner``."""

    THREAD = "thread"
    PROCESS = "process"
    STREAM = "stream"


class LogLevel(StrEnum):
    """Values of ``--log-level``."""

    TRACE = "TRACE"
    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"
    CRITICAL = "CRITICAL"


_Config = Annotated[str, typer.Argument(metavar="CONFIG", help="YAML file of the pipeline.")]
_Configs = Annotated[list[str], typer.Argument(metavar="CONFIG", help="YAML files of pipelines.")]
_CustomSource = Annotated[
    str | None,
    typer.Option(
        "--custom-source",
        metavar="FILE",
        help="Python file with a source class of your own. Overrides source.source_file_path.",
    ),
]
_EnvFile = Annotated[
    str | None,
    typer.Option(
        "--env-file",
        metavar="FILE",
        help="File of NAME=value lines for BIZON_ENV_NAME and ${env://NAME}. Read before .env in the working "
        "directory and .env beside CONFIG; variables that are set already win over all files.",
    ),
]


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
    config: _Config,
    custom_source: _CustomSource = None,
    runner: Annotated[
        RunnerName | None,
        typer.Option(
            help="Where the work happens: two threads, two processes, or one loop. Overrides engine.runner.type; "
            "sync_mode stream always uses stream.",
        ),
    ] = None,
    role: Annotated[
        Literal["producer", "consumer"] | None,
        typer.Option(
            help="Run one half of the pipeline; the other is run elsewhere. Needs a broker as queue and a state that "
            "both can reach.",
        ),
    ] = None,
    log_level: Annotated[
        LogLevel | None,
        typer.Option(case_sensitive=False, help="Least severe level shown. Overrides engine.runner.log_level."),
    ] = None,
    env_file: _EnvFile = None,
    result_json: Annotated[
        str | None,
        typer.Option(
            "--result-json",
            metavar="FILE",
            help="Write how the run ended to this JSON file: status, failure_class, records_written, error and more. "
            "It says running until then.",
        ),
    ] = None,
    fresh: Annotated[
        bool,
        typer.Option(
            "--fresh",
            help="Cancel an unfinished job and start from the first page. Where the state knows of no run, or the "
            "watermark belongs to another output, everything is loaded and the output replaced. Sets "
            "source.force_ignore_checkpoint.",
        ),
    ] = False,
    full_refresh: Annotated[
        bool,
        typer.Option(
            "--full-refresh",
            help="Load everything and replace the output, also in sync_mode incremental, where the next run goes on "
            "behind it.",
        ),
    ] = False,
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            metavar="TIME",
            help="Fetch what changed from this moment on once more, and add it to the output; needs sync_mode "
            "incremental. ISO 8601, UTC unless it says otherwise. The watermark stays where it is.",
        ),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(
            "--until", metavar="TIME", help="Where the window of --since ends, exclusive; default the watermark."
        ),
    ] = None,
    adopt: Annotated[
        bool,
        typer.Option(
            "--adopt",
            help="Take over an output that bizon did not write, or that the watermark or the state does not know. "
            "Sets source.adopt_output.",
        ),
    ] = False,
) -> None:
    """See ``help`` above."""
    from bizon.cli.run import RunFlags, run_pipeline

    flags = RunFlags(
        custom_source=custom_source,
        runner=runner and runner.value,
        log_level=log_level and log_level.value,
        env_file=env_file,
        result_json=result_json,
        fresh=fresh,
        adopt=adopt,
        role=role,
        full_refresh=full_refresh,
        since=since,
        until=until,
    )
    raise typer.Exit(run_pipeline(config, flags))


@_source.command("list", cls=_Command)
def source_list() -> None:
    """List the built-in sources and their streams."""
    from bizon.cli.guard import guarded
    from bizon.cli.listing import list_sources

    with guarded():
        list_sources()


@_stream.command("list", cls=_Command)
def stream_list(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="Name of a source; `bizon source list` shows them.")],
    custom_source: Annotated[
        str | None,
        typer.Option(
            "--custom-source", metavar="FILE", help="Python file with a source class of your own; SOURCE is its label."
        ),
    ] = None,
) -> None:
    """List the streams of a source and whether each supports incremental."""
    from bizon.cli.guard import guarded
    from bizon.cli.listing import list_streams

    with guarded():
        list_streams(source, custom_source)


@_stream.command("reset", cls=_Command)
def stream_reset(config: _Config, custom_source: _CustomSource = None, env_file: _EnvFile = None) -> None:
    """Let the next run of CONFIG fetch everything again and replace the output, whatever its sync mode."""
    from bizon.cli.guard import guarded
    from bizon.cli.state import reset

    with guarded():
        reset(config, custom_source, env_file)


@cli.command(cls=_Command)
def status(
    configs: _Configs,
    custom_source: _CustomSource = None,
    env_file: _EnvFile = None,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print JSON instead of lines: an object, or for several files a list of them."),
    ] = False,
) -> None:
    """Show how far the pipeline of each CONFIG is: its newest job, last checkpoint, lease and error. Only the secrets
    of the state are needed. Exit code 1 when the newest job of one has failed or was killed."""
    from bizon.cli.guard import guarded
    from bizon.cli.state import show

    with guarded():
        code = show(configs, custom_source, env_file, as_json=as_json)
    raise typer.Exit(code)


@_destination.command("list", cls=_Command)
def destination_list() -> None:
    """List the destinations, and for each that is not installed the extra to install."""
    from bizon.cli.guard import guarded
    from bizon.cli.listing import list_destinations

    with guarded():
        list_destinations()


@_config.command("validate", cls=_Command)
def config_validate(configs: _Configs, custom_source: _CustomSource = None, env_file: _EnvFile = None) -> None:
    """Check each CONFIG without contacting anything; exit code 2 and one line per mistake if one is wrong."""
    from bizon.cli.checking import validate
    from bizon.cli.files import for_each
    from bizon.cli.guard import guarded

    with guarded():
        code = for_each(configs, custom_source, env_file, validate)
    raise typer.Exit(code)


@_config.command("schema", cls=_Command)
def config_schema() -> None:
    """Print the JSON Schema of CONFIG, for completion and checks in an editor."""
    from bizon.cli.checking import print_schema
    from bizon.cli.guard import guarded

    with guarded():
        print_schema()
