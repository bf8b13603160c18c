"""``bizon source guess`` and ``bizon init``: a pipeline file to begin with."""

import sys
from pathlib import Path

from bizon.cli.output import complain, say
from bizon.cli.text.console_logs import console_logs
from bizon.common.errors.errors import ConfigError


def guess(url: str, headers: list[str], auth: str | None, output: str | None, *, force: bool) -> None:
    """Print or write the pipeline that an API seems to need. Raises ConfigError and SourceFetchError."""
    from bizon.scaffold.guess.asked import asked_for
    from bizon.scaffold.guess.guess import guessed

    free = free_file(output, force=force)
    with console_logs("ERROR"):
        text = guessed(asked_for(url, headers, auth))
    hand_over(text, free)


def init(source: str | None, stream: str | None, destination: str | None, output: str | None, *, force: bool) -> None:
    """Print or write a first pipeline. On a terminal, what no option says is asked for. Raises ConfigError."""
    from bizon.scaffold import first_pipeline as first

    free = free_file(output, force=force)
    asks = is_a_terminal() and source is None
    if source is None:
        source = _asked("Source", first.source_names(), "dummy") if asks else "dummy"
    if stream is None and asks and source in first.source_names():
        streams = first.streams_of(source)
        stream = _asked("Stream", streams, streams[0])
    if destination is None:
        destination = _asked("Destination", first.destination_names(), "file") if asks else "file"
    hand_over(first.pipeline(source, stream, destination), free)


def is_a_terminal() -> bool:
    """Whether somebody can answer."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def _asked(what: str, names: list[str], usual: str) -> str:
    """An answer from the terminal; the question goes to stderr, so that the YAML can be redirected."""
    import typer

    found: str = typer.prompt(f"{what} ({', '.join(names)})", default=usual, err=True)
    return found.strip()


def free_file(output: str | None, *, force: bool) -> Path | None:
    """The file to write; None for the terminal. Raises ConfigError for one that exists."""
    if output is None:
        return None
    path = Path(output).expanduser()
    if path.is_dir() or ((path.exists() or path.is_symlink()) and not force):
        raise ConfigError(f"--output {output}: exists already, and nothing was written; --force overwrites a file")
    return path


def hand_over(text: str, path: Path | None) -> None:
    """Print a text, or write it and say how to go on. Raises ConfigError when that fails."""
    if path is None:
        say(text.rstrip("\n"))
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}") from None
    complain(f"created {path}; next: bizon config validate {path}, bizon check {path}, bizon preview {path}")
