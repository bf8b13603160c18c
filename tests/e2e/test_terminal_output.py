"""The display: true numbers on any terminal, and each failure once."""

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Pipeline

pytestmark = pytest.mark.matrix(share=4, pool="terminal output")

RUNNERS = ["thread", "process", "stream"]
WaitFor = Callable[[Callable[[], bool]], None]
HIDE_CURSOR = "\x1b[?25l"
BAR = "━"
REPORT_OFTEN = "import bizon.cli.text.progress as p; p._LINE_EVERY = 0.01; from bizon.__main__ import main; main()"


class Terminal:
    """The real command on a terminal of its own, ``columns`` wide."""

    def __init__(self, command: list[str], cwd: object, columns: int) -> None:
        self._controller, worker = pty.openpty()
        fcntl.ioctl(worker, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        env = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
        self.process = subprocess.Popen(
            command, cwd=str(cwd), stdin=worker, stdout=worker, stderr=worker, env={**env, "TERM": "xterm"}
        )
        os.close(worker)
        self.shown = ""

    def read_until(self, text: str) -> None:
        """Read until ``text`` is there; at the end of the command until all was read."""
        while text not in self.shown:
            try:
                self.shown += os.read(self._controller, 65_536).decode(errors="replace")
            except OSError:  # the command is gone
                return

    def end(self) -> int:
        self.read_until("\0never")
        os.close(self._controller)
        return self.process.wait(timeout=60)


def _bizon(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "bizon", *arguments]


@pytest.mark.parametrize("columns", [40, 120])
def test_the_bar_appears_on_a_narrow_terminal_too(pipeline: "Pipeline", columns: int) -> None:
    pipeline.source(delay=0.2)
    terminal = Terminal(_bizon(*pipeline.command[-2:]), pipeline.folder, columns)
    terminal.read_until("of 20")
    seen = terminal.shown
    assert terminal.end() == 0, terminal.shown
    assert BAR in seen
    assert HIDE_CURSOR not in terminal.shown, "a process that is killed could not show it again"


def test_each_stream_that_runs_has_a_line_of_its_own(pipeline: "Pipeline") -> None:
    source = str(Path(__file__).with_name("streams_source.py"))
    pipeline.source(stream=None, source_file_path=source, delay=0.3).destination(destination_id="out/{stream}")
    pipeline.set("streams", ["a", "b"])
    terminal = Terminal(_bizon(*pipeline.command[-2:]), pipeline.folder, 100)
    for text in ("0 of 2 streams", "a: ", "b: ", "of 20 records"):
        terminal.read_until(text)
    assert terminal.end() == 0, terminal.shown
    assert "Success: 2 streams, 40 records" in terminal.shown


def test_after_a_second_signal_the_cursor_is_visible(pipeline: "Pipeline") -> None:
    (pipeline.folder / "allowed.txt").write_text("1")
    pipeline.source(gated=True)
    terminal = Terminal(_bizon(*pipeline.command[-2:]), pipeline.folder, 80)
    terminal.read_until("5 of 20")
    terminal.process.send_signal(signal.SIGINT)
    terminal.read_until("press again")
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.end() == 130
    assert HIDE_CURSOR not in terminal.shown


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_resumed_run_counts_from_the_checkpoint(pipeline: "Pipeline", runner: str) -> None:
    pipeline.source(max_iterations=3).run("--runner", runner)
    pipeline.source(max_iterations=None, delay=0.1)
    config = pipeline.command[-1]
    done = subprocess.run(
        [sys.executable, "-c", REPORT_OFTEN, "run", config, "--runner", runner],
        cwd=pipeline.folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    lines = [line for line in done.stderr.splitlines() if " of 20 records" in line]
    assert lines
    counts = {int(line.partition(" of 20 records")[0].split()[-1]) for line in lines}
    assert counts <= {15, 20}
    assert "0 of 20" not in done.stderr.replace("20 of 20", "")


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_window_is_not_measured_by_the_size_of_the_whole_stream(pipeline: "Pipeline", runner: str) -> None:
    pipeline.source(sync_mode="incremental").run("--runner", runner)
    changed = datetime.now(UTC) + timedelta(hours=1)
    (pipeline.folder / "changes.txt").write_text(f"7 {changed.isoformat()}\n")
    pipeline.run("--runner", runner)
    status = pipeline.bizon("status", "config.yml", "--json")
    assert (json.loads(status.stdout)["total_records"], json.loads(status.stdout)["rows_written"]) == (None, 1)
    assert "Records: 1 committed\n" in pipeline.bizon("status", "config.yml").stdout


@pytest.mark.parametrize(
    ("announced", "shown"), [(20, "20 of 20 committed"), (5, "20 committed"), (100, "20 of 100 committed")]
)
def test_a_total_that_was_passed_is_not_shown(pipeline: "Pipeline", announced: int, shown: str) -> None:
    pipeline.source(announced=announced).run()
    assert f"Records: {shown}\n" in pipeline.bizon("status", "config.yml").stdout


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_failure_is_reported_once_followed_by_how_to_continue(pipeline: "Pipeline", runner: str) -> None:
    pipeline.config["transforms"] = [{"label": "bad", "python": "data['missing']"}]
    failed = pipeline.run("--runner", runner, expect=1)
    assert failed.stderr.count("transform 'bad' failed") == 1
    assert "killed_by_runner" not in failed.stderr
    last = failed.stderr.splitlines()[-1]
    assert last.startswith("Error: Pipeline finished with status Failure (")
    assert "transform_error): transform 'bad' failed on record" in last
    assert re.search(r"\(0 records written in [0-9.]+ s\)$", last)


def test_at_level_debug_the_log_is_complete(pipeline: "Pipeline") -> None:
    pipeline.config["transforms"] = [{"label": "bad", "python": "data['missing']"}]
    failed = pipeline.run("--log-level", "DEBUG", expect=1)
    assert failed.stderr.count("transform 'bad' failed") >= 2


def test_a_child_that_dies_is_reported_once(pipeline: "Pipeline") -> None:
    failed = pipeline.source(kill_at=2).run("--runner", "process", expect=1)
    assert failed.stderr.count("was killed by signal SIGKILL") == 1


def test_a_mistake_in_code_shows_where_it_happened_and_what_it_was_once(pipeline: "Pipeline") -> None:
    failed = pipeline.source(fail_at=1).run(expect=1)
    assert failed.stderr.count("stream 'items.items', iteration 1: RuntimeError: the API is down") == 1
    assert re.search(
        r"raised at .*items_source\.py:\d+, in _page; --log-level DEBUG shows the traceback", failed.stderr
    )
    detailed = pipeline.run("--log-level", "DEBUG", expect=1)
    assert 'raise RuntimeError("the API is down")' in detailed.stderr


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_package_that_a_source_misses_late_is_a_mistake_of_the_setup_too(pipeline: "Pipeline", runner: str) -> None:
    failed = pipeline.source(misses_package=True).run("--runner", runner, "--result-json", "r.json", expect=2)
    assert "pip install 'bizon[kafka]'" in failed.stderr
    assert json.loads((pipeline.folder / "r.json").read_text())["failure_class"] == "config"
