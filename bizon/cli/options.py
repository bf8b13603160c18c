"""The options of the commands, each declared once."""

from enum import StrEnum
from typing import Annotated, Literal

import typer


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


Config = Annotated[str, typer.Argument(metavar="CONFIG", help="YAML file of the pipeline.")]
Configs = Annotated[list[str], typer.Argument(metavar="CONFIG", help="YAML files of pipelines.")]
SourceOrConfig = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="Name of a source; `bizon source list` shows them. Or the YAML file of a pipeline: then a source whose "
        "streams are behind a connection, such as the tables of a database, is asked for them.",
    ),
]
CustomSource = Annotated[
    str | None,
    typer.Option(
        "--custom-source",
        metavar="FILE",
        help="Python file with your own source class. Overrides source.source_file_path.",
    ),
]
LabelledSource = Annotated[
    str | None,
    typer.Option(
        "--custom-source", metavar="FILE", help="Python file with your own source class; SOURCE is its label."
    ),
]
EnvFile = Annotated[
    str | None,
    typer.Option(
        "--env-file",
        metavar="FILE",
        help="File of NAME=value lines for BIZON_ENV_NAME and ${env://NAME}. Read before .env in the working "
        "directory and .env next to CONFIG; variables that are already set win over all files.",
    ),
]
AsJson = Annotated[
    bool,
    typer.Option("--json", help="Print JSON instead of lines: an object, or a list of objects for several files."),
]
Record = Annotated[
    str | None,
    typer.Option(
        "--record",
        metavar="DIR",
        help="Keep the HTTP exchange in this folder, with secrets and personal headers masked. Needs bizon[testing].",
    ),
]
Replay = Annotated[
    str | None,
    typer.Option(
        "--replay",
        metavar="DIR",
        help="Answer every request from a recording: no network and no secrets are needed. Needs bizon[testing].",
    ),
]
Runner = Annotated[
    RunnerName | None,
    typer.Option(
        "--runner",
        help="Run in two threads, two processes, or one loop. Overrides engine.runner.type; sync_mode stream always "
        "uses stream.",
    ),
]
Role = Annotated[
    Literal["producer", "consumer"] | None,
    typer.Option(
        "--role",
        help="Run one role of the pipeline; the other role runs elsewhere. Needs a broker as queue and a state that "
        "both can reach.",
    ),
]
Join = Annotated[
    bool,
    typer.Option(
        "--join",
        help="Work on one job together with all other commands that are started like this, on any hosts: each takes "
        "parts of the stream, and one of them publishes. In sync_mode stream each is a member of one stream, if source "
        "and destination take several. Needs backend postgres, or sqlite for commands on one host.",
    ),
]
JoinId = Annotated[
    str | None,
    typer.Option(
        "--join-id",
        metavar="NAME",
        help="With --join: a name that all commands of one job are given, such as the id of a scheduled run. A command "
        "that starts when the job of this name is published already does nothing, instead of beginning the next one.",
    ),
]
Level = Annotated[
    LogLevel | None,
    typer.Option(
        "--log-level", case_sensitive=False, help="Least severe level shown. Overrides engine.runner.log_level."
    ),
]
ResultJson = Annotated[
    str | None,
    typer.Option(
        "--result-json",
        metavar="FILE",
        help="Write how the run ended to this JSON file: status, failure_class, records_written, error and more. "
        "The status is running until then.",
    ),
]
Fresh = Annotated[
    bool,
    typer.Option(
        "--fresh",
        help="Cancel an unfinished job and start from the first page. If the state knows no run, or the watermark "
        "belongs to another output, load everything and replace the output. Sets source.force_ignore_checkpoint.",
    ),
]
FullRefresh = Annotated[
    bool,
    typer.Option(
        "--full-refresh",
        help="Load everything and replace the output, also in sync_mode incremental, where the next run continues "
        "after it.",
    ),
]
Cancel = Annotated[
    bool,
    typer.Option(
        "--cancel",
        help="Withdraw a reset that is not published, also one by --full-refresh: an unfinished job that carries it is "
        "cancelled, and the next run continues after the watermark.",
    ),
]
Since = Annotated[
    str | None,
    typer.Option(
        "--since",
        metavar="TIME",
        help="Fetch again everything that changed from this moment on, and append it to the output; needs sync_mode "
        "incremental. ISO 8601, UTC unless an offset is given. The watermark does not move.",
    ),
]
Until = Annotated[
    str | None,
    typer.Option("--until", metavar="TIME", help="End of the --since window, exclusive; default the watermark."),
]
Adopt = Annotated[
    bool,
    typer.Option(
        "--adopt",
        help="Take over an output that bizon did not write, or that the watermark or the state does not know. "
        "Sets source.adopt_output.",
    ),
]


Streams = Annotated[
    list[str] | None,
    typer.Option(
        "--stream", metavar="STREAM", help="Run this stream alone, of several in CONFIG. May be given more than once."
    ),
]
OneStream = Annotated[
    str | None,
    typer.Option("--stream", metavar="STREAM", help="This stream alone, of several in CONFIG."),
]
