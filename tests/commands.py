"""``subprocess`` for tests: ``Popen`` and ``run`` start ``python -m bizon ...`` by forking a process that has imported
it already, see ``fork_server.py``. The child looks exactly like a new process.

A command runs as a plain process wherever a fork might differ: it is neither ``-m bizon`` nor ``-c``; it has another
value of a variable that is read at the start or on import; a module in its folder or PYTHONPATH would replace a loaded
one; it has a terminal; it needs work between fork and exec (``preexec_fn`` and the like). The same holds for every
command outside ``forked()``, with BIZON_TEST_PLAIN_PROCESSES=1, and on a system without the necessary calls.

A fork cannot show four things, and no test may be about them: another hash seed, a umask or limits that differ from the
server's, ``/proc/PID/cmdline``, and faults that appear only on a first import. The server also forks the processes that
a command spawns, and is their parent. Each process holds one more descriptor, its connection to the server.

Tests about the start of a process use ``subprocess`` itself: imports and their failures (``tests/architecture``,
``tests/cli/test_cli_commands.py``), weights (``tests/benchmarks``), mutants, which change the imported code, and the
long chaos loop (``tests/e2e/crash``), mounts and limits, the commands of the README (``tests/e2e/test_real_api.py``,
``tests/docs/test_examples.py``), and one run of each runner and sync mode to compare with its fork
(``test_fork_server.py``).
"""

import inspect
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Lock
from typing import Any, AnyStr

import fork_server

BIZON = [sys.executable, "-m", "bizon"]
CODE = [sys.executable, "-c"]
STANDARD_STREAMS = (0, 1, 2)
PLAIN = "BIZON_TEST_PLAIN_PROCESSES"
MEANS = ((os, "fork"), (os, "pidfd_open"), (socket, "send_fds"))
READ_EARLY = re.compile(
    r"_?PYTHON(?!PATH$)|LANG|LC_|TZ$|LD_|GLIBC_|MALLOC_|_RJEM_|RUST_|RAYON_|OPENSSL_|SSL"  # by Python and by libraries
    r"|POLARS_|LOGURU_|PYDANTIC_|PSYCOPG_|TYPER_|HOME$|CI$|PYCHARM_HOSTED$|BUILDING_SPHINX_DOCS$"  # on import
    r"|API_|CLOUDSDK_|ENABLE_GCS_|GOOGLE_|GRPC_|OTEL_|PROTOCOL_BUFFERS_|TEMPORARILY_DISABLE_PROTOBUF_"  # by Google's
    r"|NPY_|NUMPY_|OPENBLAS_|PANDAS_"  # which read these
)
LONGEST_MESSAGE = 1_000_000  # bytes; the names of the loaded modules
SUFFIXES = ("", ".py", ".pyc", ".so")
PIPES = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
UNUSUAL = {
    **dict.fromkeys(("executable", "preexec_fn", "gid", "gids", "uid")),
    **{"pass_fds": (), "shell": False, "start_new_session": False, "umask": -1},
}
_ASKED = inspect.signature(subprocess.Popen._execute_child)  # type: ignore[attr-defined]


class ServerGoneError(RuntimeError):
    """The fork server died, and the exit code of a command is lost."""


class _Server:
    """The fork server of a stage. It starts when it is first needed, and again after it has died."""

    def __init__(self, stage: str, variables: Mapping[str, str]) -> None:
        self._stage = stage
        self._variables = {name: value for name, value in variables.items() if name != "PYTHONPATH"}
        self._early = early(variables)
        self._lock = Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket
        self._loaded: frozenset[str]

    def suits(self, folder: str, variables: Mapping[str, str]) -> bool:
        """Whether a fork equals a new process in this folder, with these variables."""
        if early(variables) != self._early:
            return False
        self._ensure()
        places = [folder, *filter(None, variables.get("PYTHONPATH", "").split(os.pathsep))]
        return all(self._loaded.isdisjoint(modules_in(Path(folder, place))) for place in places)

    def start(self, command: tuple[Any, ...], streams: list[int]) -> tuple[int, Connection]:
        """Start a command; returns its pid, and the connection that will bring its exit code."""
        try:
            return self._start(command, streams)
        except (EOFError, OSError):
            self.close()
            return self._start(command, streams)

    def _start(self, command: tuple[Any, ...], streams: list[int]) -> tuple[int, Connection]:
        self._ensure()
        return fork_server.start(self._control, (*command, STANDARD_STREAMS), streams)

    def _ensure(self) -> None:
        with self._lock:
            if self._process is not None:
                return
            self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                process = subprocess.Popen(
                    [sys.executable, fork_server.__file__, self._stage, str(theirs.fileno())],
                    **{"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "env": self._variables},
                    pass_fds=[theirs.fileno()],
                )
            modules = self._control.recv(LONGEST_MESSAGE)
            if not modules:
                process.wait()
                raise ServerGoneError("the fork server could not start; its output says why")
            self._process, self._loaded = process, frozenset(json.loads(modules)) - {"sitecustomize"}

    def close(self) -> None:
        """End the server. Commands that still run continue."""
        with self._lock:
            if self._process is not None:
                self._control.close()
                self._process.wait()
                self._process = None


_servers: dict[str, _Server] = {}


def early(variables: Mapping[str, str]) -> dict[str, str]:
    """The variables that a process reads before a command could change them."""
    return {name: value for name, value in variables.items() if READ_EARLY.match(name)}


def modules_in(folder: Path) -> set[str]:
    """The names of the modules that Python would find in a folder."""
    with suppress(OSError):
        return {path.name.partition(".")[0] for path in folder.iterdir() if path.suffix in SUFFIXES}
    return set()


def bytecode_kept_in(folder: Path) -> dict[str, str]:
    """Settings that let commands share compiled modules when Python would not write any. Imports take most of a short
    run."""
    writes_none = os.environ.get("PYTHONDONTWRITEBYTECODE")
    return {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(folder)} if writes_none else {}


@contextmanager
def forked() -> Iterator[None]:
    """Within: commands are forked wherever possible; the current variables are the usual ones."""
    if os.environ.get(PLAIN) == "1" or not all(hasattr(*each) for each in MEANS):
        yield
        return
    before = dict(_servers)
    _servers.update({stage: _Server(stage, os.environ) for stage in fork_server.STAGES})
    try:
        yield
    finally:
        for server in _servers.values():
            server.close()
        _servers.clear()
        _servers.update(before)


def server_for(folder: str, variables: Mapping[str, str]) -> _Server | None:
    """The server that forks a command; None for a plain process. A hook on PYTHONPATH may replace parts of bizon
    when they are loaded."""
    search = variables.get("PYTHONPATH", "")
    places = [folder, *filter(None, search.split(os.pathsep))]
    replaced = any("bizon" in modules_in(Path(folder, place)) for place in places)
    server = _servers.get("libraries" if replaced else "unpatched" if search else "bizon")
    return server if server is not None and server.suits(folder, variables) else None


class Popen(subprocess.Popen[AnyStr]):
    """As ``subprocess.Popen``. The server of a forked command reaps it at once, and reports its exit code."""

    _channel: Connection | None = None

    @property
    def is_forked(self) -> bool:
        return self._channel is not None

    def _execute_child(self, *arguments: Any) -> None:
        asked = _ASKED.bind(self, *arguments).arguments
        folder = os.path.abspath(asked["cwd"] or "")
        variables = dict(os.environ if asked["env"] is None else asked["env"])
        streams = [
            number if asked[stream] == -1 else asked[stream]
            for number, stream in enumerate(("p2cread", "c2pwrite", "errwrite"))
        ]
        usual = all(asked[name] == value for name, value in UNUSUAL.items()) and os.path.isdir(folder)
        is_known = isinstance(asked["args"], list) and any(asked["args"][: len(each)] == each for each in (BIZON, CODE))
        server = None
        if usual and is_known and not any(map(os.isatty, streams)):
            server = server_for(folder, variables)
        if server is None:
            super()._execute_child(*arguments)  # type: ignore[misc]
            return
        command = [os.fsdecode(each) for each in asked["args"]], folder, variables, asked["process_group"]
        self.pid, self._channel = server.start(command, streams)
        self._child_created = True
        self._close_pipe_fds(*(asked[name] for name in PIPES))  # type: ignore[attr-defined]

    def _wait(self, timeout: float | None) -> int:
        if self._channel is None:
            return super()._wait(timeout)  # type: ignore[misc, no-any-return]
        if self.returncode is None and not self._channel.poll(timeout):
            assert timeout is not None
            raise subprocess.TimeoutExpired(self.args, timeout)
        self._take()
        return self.returncode

    def _internal_poll(self, *arguments: Any, **keywords: Any) -> int | None:
        if self._channel is None:
            return super()._internal_poll(*arguments, **keywords)  # type: ignore[misc, no-any-return]
        if self.returncode is None and self._channel.poll():
            self._take()
        return self.returncode

    def _take(self) -> None:
        with self._waitpid_lock:  # type: ignore[attr-defined]
            if self.returncode is not None:
                return
            try:
                _, self.returncode = self._channel.recv()
            except (EOFError, OSError):
                with suppress(ProcessLookupError):
                    os.kill(self.pid, signal.SIGKILL)
                self.returncode = -signal.SIGKILL
                raise ServerGoneError(f"the fork server died before {self.args} ended") from None


def run(
    command: list[str],
    *,
    input: AnyStr | None = None,
    timeout: float | None = None,
    check: bool = False,
    capture_output: bool = False,
    **how: Any,
) -> subprocess.CompletedProcess[AnyStr]:
    """As ``subprocess.run``."""
    if input is not None:
        how["stdin"] = subprocess.PIPE
    if capture_output:
        how["stdout"] = how["stderr"] = subprocess.PIPE
    with Popen(command, **how) as child:
        try:
            out, err = child.communicate(input, timeout)
        except BaseException:
            child.kill()
            raise
    done = subprocess.CompletedProcess(child.args, child.returncode, out, err)
    if check:
        done.check_returncode()
    return done
