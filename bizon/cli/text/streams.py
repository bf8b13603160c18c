"""A run of several streams in words: a line per stream while it runs, and one for how it ended."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from bizon.cli.result import UNKNOWN, described
from bizon.cli.text.conclusion import Conclusion, notes_on, outcome_of
from bizon.cli.text.progress import LineProgress, Write, expected_total, progress_line, shown_by
from bizon.cli.text.words import counted
from bizon.common.errors.errors import ExitCode, exit_code_of

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from rich.progress import Progress, TaskID

    from bizon.common.models import BizonConfig
    from bizon.common.scrub import Scrubber
    from bizon.engine.runner.streams import StreamsRunner
    from bizon.engine.runner.streams_status import StreamEnd, StreamsStatus

_SEVERITY = (ExitCode.CONFIG, ExitCode.FAILED, ExitCode.LOCKED, ExitCode.INTERRUPTED, ExitCode.OK)
"""The exit code of the run is the first of these that a stream has: a mistake is waiting for a person."""


def streams_shown(runner: "StreamsRunner") -> "AbstractContextManager[Write]":
    """Within: show on stderr how far each stream is. See ``shown_by``."""
    return shown_by(_Lines(runner), lambda display: _Live(runner, display))


class _Lines:
    """Logs a line per stream that has moved since the last call."""

    def __init__(self, runner: "StreamsRunner") -> None:
        self._runner = runner
        self._lines: dict[str, LineProgress] = {}

    def __call__(self) -> None:
        for name, (_, end) in self._runner.progress_of_streams().items():
            if end is None:
                line = self._lines.get(name) or LineProgress(self._poll(name), name=name)
                self._lines.setdefault(name, line)()

    def _poll(self, name: str) -> Callable[[], Any]:
        return lambda: self._runner.progress_of_streams()[name][0]


class _Live:
    """Shows a line per stream that runs, below a line for all."""

    def __init__(self, runner: "StreamsRunner", display: "Progress") -> None:
        self._runner, self._display = runner, display
        self._whole = display.add_task("starting", total=None)
        self._tasks: dict[str, tuple[TaskID, float]] = {}

    def __call__(self) -> None:
        every = self._runner.progress_of_streams()
        ends = [end for _, end in every.values() if end is not None]
        failed = sum(not end.is_success for end in ends)
        line = f"{len(ends)} of {counted(len(self._runner.streams), 'stream')}{f', {failed} failed' if failed else ''}"
        self._display.update(
            self._whole, description=line, completed=len(ends), total=len(self._runner.streams) or None
        )
        for name, (snapshot, end) in every.items():
            if end is not None:
                task, _ = self._tasks.pop(name, (None, 0.0))
                if task is not None:
                    self._display.remove_task(task)
                continue
            if name not in self._tasks:
                self._tasks[name] = (self._display.add_task(name, total=None), time.monotonic())
            task, began = self._tasks[name]
            fetched = snapshot.records_before + snapshot.records_fetched
            line = f"{name}: {progress_line(snapshot, time.monotonic() - began)}"
            self._display.update(task, description=line, completed=fetched, total=expected_total(snapshot))


def streams_conclusion(status: "StreamsStatus", seconds: float, settings: "BizonConfig") -> Conclusion:
    """How to end: a line per stream, and one for the run."""
    out: list[str] = []
    err: list[str] = []
    codes = []
    for end in status.streams:
        code, line = _line(end, settings)
        codes.append(code)
        (out if code is ExitCode.OK else err).append(line)
    code = min(codes, key=_SEVERITY.index)
    count = f"{counted(status.records_written, 'record')} written in {seconds:.1f} s"
    if code is ExitCode.OK:
        out.append(f"Pipeline finished with status Success: {counted(len(status.streams), 'stream')}, {count}")
    else:
        prefix = "" if code is ExitCode.INTERRUPTED else "Error: "
        err.append(f"{prefix}{status.to_string()}: {count}{_remedy(status)}")
    return Conclusion(code, out=tuple(out), err=tuple(err))


def known_of_streams(status: "StreamsStatus", scrub: "Scrubber") -> dict[str, Any]:
    """The content of ``--result-json``: the sums of all streams, and ``streams``, how each of them ended."""
    streams = [_known(end, scrub) for end in status.streams]
    reasons = [f"{end['name']}: {end['error']}" for end in streams if end["error"] is not None]
    first = next((end["failure_class"] for end in streams if end["status"] == "failure"), None)
    outcome = "success" if status.is_success else "interrupted" if status.interrupted else "failure"
    return {
        "status": outcome,
        "failure_class": first or next((end["failure_class"] for end in streams if end["failure_class"]), None),
        **{key: sum(end[key] for end in streams) for key in ("records_written", "records_rejected", "values_rescued")},
        "published": all(end["published"] for end in streams),
        "error": "; ".join(reasons) or None,
        "streams": streams,
    }


def _known(end: "StreamEnd", scrub: "Scrubber") -> dict[str, Any]:
    error = scrub.brief(end.reason) or None
    if end.status is not None:
        known = described(end.status, None if end.status.error is None else error)
    else:
        how = "interrupted" if end.was_stopped else "failure"
        known = {**UNKNOWN, "status": how, "failure_class": end.failure_class, "error": error}
    return {"name": end.name, **known, "duration_s": round(end.seconds, 3)}


def _line(end: "StreamEnd", settings: "BizonConfig") -> tuple[ExitCode, str]:
    if end.status is None:
        if end.was_stopped:
            return ExitCode.INTERRUPTED, f"{end.name}: {end.reason}"
        return exit_code_of(end.error), f"Error: {end.name}: {end.reason}"
    source = settings.for_stream(end.name).source
    publishes = not source.is_endless
    code, text = outcome_of(end.status, end.seconds, publishes=publishes)
    if code is ExitCode.OK:
        notes = notes_on(end.status, publishes=publishes, max_iterations=source.max_iterations)
        return code, f"{end.name}: {'; '.join([text, *notes])}"
    return code, f"{end.name}: stopped: {text}" if code is ExitCode.INTERRUPTED else f"Error: {end.name}: failed {text}"


def _remedy(status: "StreamsStatus") -> str:
    """How to continue without the streams that are done."""
    left = [end.name for end in status.streams if not end.is_success]
    if len(left) == len(status.streams):
        return "; run again to resume"
    return f"; run again with {' '.join(f'--stream {name}' for name in left)} to leave out those that are done"
