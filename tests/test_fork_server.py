"""Forked commands behave like new processes: ``commands.py`` and ``fork_server.py``.

Most tests write a ``bizon.py`` into the folder of the command, which replaces bizon.
"""

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import commands
import pytest
from fork_server import HIGH

PIPE, STDOUT, DEVNULL = subprocess.PIPE, subprocess.STDOUT, subprocess.DEVNULL
BOUND = 110  # seconds; reached only when something is broken
PROGRESS = re.compile(r"\(\S+/s\)")
"""A line that a run prints every ten seconds; on a busy machine one of two runs may take so long."""
Start = Callable[..., commands.Popen[str]]

pytestmark = pytest.mark.skipif(
    not all(hasattr(*each) for each in commands.MEANS), reason="this system starts plain processes"
)

PORTRAIT = """
import gc, json, multiprocessing.process, os, resource, signal, sys, threading
import polars, psycopg  # which install signal handlers
lines = [line.split() for line in open("/proc/self/status")]
status = [line for line in lines if line[0] in ("SigBlk:", "SigIgn:", "SigCgt:", "Umask:", "Uid:", "Gid:", "Groups:")]
print(json.dumps({
    "arguments": [sys.argv, sys.orig_argv, sys.flags, sys.warnoptions, sys.executable],
    "main": [__name__, __spec__.name, __file__, __package__, sorted(vars(sys.modules["__main__"]))],
    "modules": sys.path,
    "folder": [os.getcwd(), multiprocessing.process.ORIGINAL_DIR],
    "variables": dict(os.environ),
    "process": [os.getpgrp() == os.getpid(), os.getsid(0), resource.getrlimit(resource.RLIMIT_NOFILE), status],
    "descriptors": sorted(os.listdir("/proc/self/fd"), key=int),
    "streams": [[s.fileno(), s.encoding, s.errors, s.isatty(), s.line_buffering] for s in (sys.stdout, sys.stderr)],
    "typed": sys.stdin.read(),
    "signals": [str(signal.getsignal(each)) for each in sorted(signal.valid_signals())],
    "threads": [each.name for each in threading.enumerate()],
    "collector": [gc.isenabled(), gc.get_threshold()],
    "bytecode": [sys.dont_write_bytecode, sys.pycache_prefix],
    "customized": getattr(sys, "customized", None),
}))
"""


@pytest.fixture(scope="module", autouse=True)
def _forked() -> Iterator[None]:
    """Fork commands even when the suite runs with plain processes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(commands.PLAIN, raising=False)
        with nullcontext() if commands._servers else commands.forked():
            yield


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """``start("code of bizon.py", ...)``: like Popen, with text output. Processes that still run are killed at the
    end."""
    started: list[commands.Popen[str]] = []

    def start(code: str, *arguments: str, **how: Any) -> commands.Popen[str]:
        (tmp_path / "bizon.py").write_text(code)
        how = {"cwd": tmp_path, "text": True, "stdout": PIPE, "stderr": PIPE, **how}
        started.append(commands.Popen([*commands.BIZON, *arguments], **how))
        return started[-1]

    yield start
    for child in started:
        with child:
            child.kill()


@pytest.mark.parametrize("group", [None, 0], ids=["same group", "own group"])
@pytest.mark.parametrize("hooked", [False, True], ids=["", "sitecustomize"])
def test_a_fork_equals_a_new_process(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hooked: bool, group: int | None
) -> None:
    (tmp_path / "hook").mkdir()
    (tmp_path / "hook/sitecustomize.py").write_text("import sys\nsys.customized = [*sys.path], list(sys.argv)\n")
    variables = {**os.environ, "CRÈME": "🦬", "EMPTY": "", **({"PYTHONPATH": "hook:/nowhere:hook"} if hooked else {})}
    how = {"env": variables, "stdin": PIPE, "process_group": group}
    forked = start(PORTRAIT, "run", "--flag", "", "ü", **how)
    assert forked.is_forked
    monkeypatch.setattr(commands, "_servers", {})
    plain = start(PORTRAIT, "run", "--flag", "", "ü", **how)
    assert not plain.is_forked
    (shown, output), (expected, nothing) = (each.communicate("typed", BOUND) for each in (forked, plain))
    assert (output, nothing, forked.returncode, plain.returncode) == ("", "", 0, 0)
    portrait, original = json.loads(shown), json.loads(expected)
    assert int(portrait["descriptors"].pop()) >= HIGH, "the way to its server"
    assert portrait == original


@pytest.mark.timeout(2 * BOUND + 20)
@pytest.mark.matrix(share=3)
@pytest.mark.parametrize("sync_mode", ["full_refresh", "incremental", "stream"])
@pytest.mark.parametrize("runner", ["thread", "process", "stream"])
def test_each_runner_and_sync_mode_does_the_same_in_a_new_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runner: str, sync_mode: str
) -> None:
    source = Path(__file__).parent / "e2e/items_source.py"
    config = {
        "name": "pipe",
        "source": {"name": "items", "stream": "items", "source_file_path": str(source), "sync_mode": sync_mode},
        "destination": {"name": "file", "config": {"destination_id": "out"}},
        "engine": {"runner": {"type": runner}},
    }
    if sync_mode == "stream":
        config["source"]["max_iterations"] = 4
    ended, how = [], {"stdout": PIPE, "stderr": STDOUT, "text": True}
    for servers in (commands._servers, {}):
        folder = tmp_path / ("forked" if servers else "plain")
        folder.mkdir()
        (folder / "config.yml").write_text(json.dumps(config))
        monkeypatch.setattr(commands, "_servers", servers)
        with commands.Popen([*commands.BIZON, "run", "config.yml"], cwd=folder, **how) as run:
            assert run.is_forked is bool(servers)
            output, _ = run.communicate(timeout=BOUND)
        assert run.returncode == 0, output
        rows = [json.loads(line)["source_record_id"] for line in (folder / "out.json").read_text().splitlines()]
        lines = [line for line in output.splitlines() if not PROGRESS.search(line)]
        ended.append((rows, len(lines), sorted(path.name for path in folder.iterdir())))
    assert ended[0] == ended[1]
    assert ended[0][0] == [str(number) for number in range(20)]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("", 0),
        ("raise SystemExit(3)", 3),
        ("raise SystemExit('no')", 1),
        ("raise KeyError('k')", 1),
        ("import os; os._exit(7)", 7),
        ("import os; os.abort()", -signal.SIGABRT),
        ("raise KeyboardInterrupt", -signal.SIGINT),
        *((f"import os; os.kill(os.getpid(), {each})", -each) for each in (signal.SIGKILL, signal.SIGTERM)),
    ],
)
def test_the_exit_code_is_reported(start: Start, code: str, expected: int) -> None:
    child = start(code)
    assert child.is_forked
    _, output = child.communicate(timeout=BOUND)
    assert child.returncode == child.poll() == child.wait() == expected
    assert ("KeyError: 'k'" in output) is ("KeyError" in code)


SPAWNING = """
import multiprocessing, os, signal, sys

def work(end, how):
    named = multiprocessing.current_process().name, __name__, multiprocessing.parent_process().pid == os.getppid()
    end.send([*named, os.getcwd(), sys.argv, os.getpgrp(), sys.path, os.environ["CRASH_AT"]])
    exec(how)

if __name__ == "__main__":
    for how in ("pass", "sys.exit(3)", "1 / 0", "os.kill(os.getpid(), signal.SIGKILL)", "signal.pause()"):
        ours, theirs = multiprocessing.get_context("spawn").Pipe()
        child = multiprocessing.get_context("spawn").Process(target=work, args=(theirs, how), name="one")
        child.start()
        theirs.close()
        values = ours.recv()
        values[5] -= os.getpgrp()
        if how == "signal.pause()":
            assert child.is_alive() and child.exitcode is None
            child.terminate()
        child.join()
        print(values, child.exitcode, child.is_alive(), ours.poll())
"""


def test_processes_that_a_command_spawns_are_forked_too_and_end_alike(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    how = {"env": {**os.environ, "CRASH_AT": "nowhere"}, "process_group": 0}
    (forked, _), servers = start(SPAWNING, "run", **how).communicate(timeout=BOUND), commands._servers
    assert servers
    monkeypatch.setattr(commands, "_servers", {})
    plain, _ = start(SPAWNING, "run", **how).communicate(timeout=BOUND)
    assert forked.replace("False, '/", "True, '/") == plain, "all is alike but the parent"
    assert [line.split("]")[-1].split()[0] for line in plain.splitlines()] == ["0", "3", "1", "-9", "-15"]


def test_exit_handlers_and_threads_finish(start: Start) -> None:
    code = "import atexit, sys, threading, time\natexit.register(lambda: print('at exit'))\n"
    code += "threading.Thread(target=lambda: (time.sleep(0.05), print('thread'))).start()\nsys.stdout.write('main\\n')"
    assert start(code).communicate(timeout=BOUND) == ("main\nthread\nat exit\n", "")


def test_a_running_command_can_be_awaited_and_terminated(start: Start) -> None:
    code = "import signal, sys\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(5))\n"
    code += "print(1, flush=True)\nsignal.pause()"
    child = start(code)
    assert child.stdout is not None
    assert child.stdout.readline() == "1\n"
    assert child.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        child.wait(0.01)
    with pytest.raises(subprocess.TimeoutExpired):
        child.communicate(timeout=0.01)
    child.terminate()
    assert child.wait(BOUND) == 5
    child.send_signal(signal.SIGKILL)  # the child is gone; no other process gets the signal


def test_a_group_of_its_own_is_killed_with_its_children(start: Start) -> None:
    code = "import os, signal\nread, write = os.pipe()\nif os.fork(): print(os.getpgrp(), flush=True)\nsignal.pause()"
    child = start(code, process_group=0)
    assert child.stdout is not None
    assert child.stdout.readline() == f"{child.pid}\n"
    os.killpg(child.pid, signal.SIGKILL)
    assert child.communicate(timeout=BOUND) == ("", ""), "nobody is left who holds the pipes"
    assert child.returncode == -signal.SIGKILL


def test_streams_go_where_the_caller_says(start: Start, tmp_path: Path) -> None:
    code = "import sys\nprint('out', flush=True)\nprint('err', file=sys.stderr)"
    assert start(code, stderr=STDOUT).communicate(timeout=BOUND) == ("out\nerr\n", None)
    assert start(code, stdout=DEVNULL).communicate(timeout=BOUND) == (None, "err\n")
    with (tmp_path / "log").open("w") as log:
        log.write("before\n")
        log.flush()
        assert start(code, stdout=log, stderr=log).wait(BOUND) == 0
    assert (tmp_path / "log").read_text() == "before\nout\nerr\n"


def test_a_reader_that_has_gone_is_noticed(start: Start) -> None:
    child = start("import sys\nsys.stdin.read()\nprint('x' * 1_000_000)", stdin=PIPE)
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdout.close()
    child.stdin.close()
    assert child.wait(BOUND) == 1
    assert child.stderr is not None
    assert "BrokenPipeError" in child.stderr.read()
