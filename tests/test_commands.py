"""The commands that are forked, and the life of the server that forks them."""

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import commands
import pytest
from commands import Popen
from fork_server import STAGES

BOUND = 30  # seconds; reached only when something is broken
HARMLESS = {"jemalloc_bg_thd", "polars-ooc-clea"}  # threads of native libraries, which do not use Python
VERSION = [*commands.BIZON, "--version"]

pytestmark = pytest.mark.skipif(
    not all(hasattr(*each) for each in commands.MEANS), reason="this system starts plain processes"
)


@pytest.fixture(scope="module", autouse=True)
def _forked() -> Iterator[None]:
    """Fork commands even when the suite runs with plain processes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(commands.PLAIN, raising=False)
        with nullcontext() if commands._servers else commands.forked():
            yield


def is_forked(command: list[str] = VERSION, **how: object) -> bool:
    with Popen[str](command, **{"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, **how}) as child:
        output, _ = child.communicate(timeout=BOUND)
        assert child.returncode == 0, output
        if child._channel is not None:
            assert child._channel.poll(BOUND), "the server still holds it"
        return child.is_forked


def server(stage: str = "bizon") -> int:
    """The pid of a running server. It is asked for in the folder of the test."""
    if stage == "libraries":
        Path("bizon.py").touch()
    assert is_forked(env={**os.environ, **({"PYTHONPATH": "."} if stage != "bizon" else {})})
    process = commands._servers[stage]._process
    assert process is not None
    return process.pid


def entries(pid: int | str, folder: str) -> list[str]:
    return os.listdir(f"/proc/{pid}/{folder}")


def wait_for_end(handle: int) -> None:
    assert select.select([handle], [], [], BOUND)[0], "it is still there"


def test_bizon_and_code_are_forked_and_other_programs_are_not() -> None:
    assert is_forked()
    assert is_forked([sys.executable, "-c", "pass"])
    assert not is_forked([sys.executable, "-E", "-m", "bizon", "--version"])
    assert not is_forked([sys.executable, "-E", "-m", "bizon", "--version"])


@pytest.mark.parametrize("name", ["PYTHONHASHSEED", "PYTHONDEVMODE", "PYTHONWARNINGS", "LC_ALL", "POLARS_MAX_THREADS"])
def test_a_variable_that_is_read_early_means_a_new_process(name: str) -> None:
    assert not is_forked(env={**os.environ, name: "C" if name == "LC_ALL" else "1"})


def test_a_module_that_takes_the_place_of_a_loaded_one_means_a_new_process(tmp_path: Path) -> None:
    (tmp_path / "yaml.txt").touch()
    assert is_forked(cwd=tmp_path)
    assert is_forked(env={**os.environ, "PYTHONPATH": str(tmp_path)})
    (tmp_path / "unheard_of.py").touch()
    assert is_forked(cwd=tmp_path), "nobody has loaded that"
    (tmp_path / "yaml.py").touch()
    assert not is_forked(cwd=tmp_path)
    assert not is_forked(env={**os.environ, "PYTHONPATH": f"/nowhere:{tmp_path}"})


@pytest.mark.parametrize("how", [{"preexec_fn": os.getpid}, {"start_new_session": True}, {"umask": 0o77}], ids=str)
def test_work_between_fork_and_exec_means_a_new_process(how: dict[str, object]) -> None:
    assert not is_forked(**how)


def test_a_terminal_means_a_new_process() -> None:
    ours, theirs = os.openpty()
    try:
        assert not is_forked(stderr=theirs)
    finally:
        os.close(ours)
        os.close(theirs)


def test_the_suite_may_ask_for_plain_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "_servers", {})
    assert not is_forked()
    with commands.forked():
        assert is_forked()
    assert not is_forked()
    monkeypatch.setenv(commands.PLAIN, "1")
    with commands.forked():
        assert not is_forked()


def test_a_missing_folder_gives_the_error_of_subprocess(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        Popen(VERSION, cwd=tmp_path / "nowhere")


def test_every_variable_that_libraries_read_on_import_is_known() -> None:
    """For a variable that is missing in READ_EARLY, a command would get the value of the server."""
    code = (
        "import importlib, json, os, sys\n"
        "seen, get = set(), type(os.environ).__getitem__\n"
        "type(os.environ).__getitem__ = lambda self, name: seen.add(name) or get(self, name)\n"
        "for name in json.loads(sys.argv[1]): importlib.import_module(name)\n"
        "print(json.dumps(sorted(seen)))"
    )
    command = [sys.executable, "-c", code, json.dumps(STAGES["bizon"])]
    variables = {name: value for name, value in os.environ.items() if name != "CI"}  # CI adds others
    done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=BOUND, check=True)
    assert [name for name in json.loads(done.stdout) if not commands.READ_EARLY.match(name)] == []


@pytest.mark.parametrize("stage", STAGES)
def test_before_a_fork_there_is_one_thread_of_python_and_nothing_is_open(stage: str) -> None:
    pid = server(stage)
    threads = [Path(f"/proc/{pid}/task/{thread}/comm").read_text().strip() for thread in entries(pid, "task")]
    assert len([name for name in threads if name not in HARMLESS]) == 1, threads
    opened = [os.readlink(f"/proc/{pid}/fd/{number}") for number in entries(pid, "fd")]
    assert sorted(opened)[:2] == ["/dev/null"] * 2
    assert len(opened) == 4, "the standard streams and the socket"


def test_commands_leave_no_descriptor_and_no_zombie() -> None:
    pid = server()
    before = entries("self", "fd"), entries(pid, "fd")
    for _ in range(3):
        assert is_forked()
    assert (entries("self", "fd"), entries(pid, "fd")) == before
    assert Path(f"/proc/{pid}/task/{pid}/children").read_text() == ""


def test_a_server_that_was_killed_is_replaced() -> None:
    pid = server()
    os.kill(pid, signal.SIGKILL)
    assert is_forked()
    assert server() != pid


def test_the_end_of_a_command_whose_server_was_killed_is_not_made_up(tmp_path: Path) -> None:
    (tmp_path / "bizon.py").write_text("import signal\nsignal.pause()")
    child = Popen[bytes]([*commands.BIZON], cwd=tmp_path)
    handle = os.pidfd_open(child.pid)
    process = commands._servers["libraries"]._process
    assert process is not None
    process.kill()
    with pytest.raises(commands.ServerGoneError):
        child.wait(BOUND)
    wait_for_end(handle)
    os.close(handle)


def test_a_server_ends_with_its_client() -> None:
    code = (
        "import commands, os, sys\n"
        "with commands.forked():\n"
        "    commands.run([*commands.BIZON, '--version'], capture_output=True, check=True)\n"
        "    print(commands._servers['bizon']._process.pid, flush=True)\n"
        "    sys.stdin.read()\n"
        "    os._exit(0)\n"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parent, **pipes) as client:
        assert client.stdin is not None
        assert client.stdout is not None
        handle = os.pidfd_open(int(client.stdout.readline()))
        client.stdin.close()
        wait_for_end(handle)
        os.close(handle)


def test_run_feeds_captures_and_kills_a_command_that_takes_too_long(tmp_path: Path) -> None:
    (tmp_path / "bizon.py").write_text(
        "import sys, time\ntext = sys.stdin.read()\nprint(text)\ntime.sleep(float(text))"
    )
    how = {"cwd": tmp_path, "text": True, "capture_output": True}
    assert commands.run(commands.BIZON, input="0", **how).stdout == "0\n"
    with pytest.raises(subprocess.TimeoutExpired):
        commands.run(commands.BIZON, input=str(BOUND), timeout=0.5, **how)
    with pytest.raises(subprocess.CalledProcessError):
        commands.run(commands.BIZON, input="x", check=True, **how)
