"""Starts ``python -m bizon ...`` without the second that its imports take: ``python fork_server.py STAGE DESCRIPTOR``.

The server imports the modules of a command in advance, and forks a child for each command that it receives over the
socket DESCRIPTOR. The child sets up the state of a new process (folder, variables, streams, process group, signals,
``sys.path``, ``__main__``) and continues like ``-m bizon``. STAGE names the modules that are imported before the fork:
``bizon``; ``unpatched``, the part of it that no hook of the tests replaces, for commands with a PYTHONPATH; or only its
``libraries``, for commands that run another bizon. The client is ``commands.py``.

No module imported here may start a Python thread, open a database or connect to a server. The server never calls
Polars, whose threads would be missing after the fork."""

import atexit
import ctypes
import fcntl
import functools
import gc
import importlib
import json
import multiprocessing.process
import os
import runpy
import signal
import site
import socket
import sys
import sysconfig
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing import popen_spawn_posix, util
from multiprocessing.connection import Connection, Pipe, wait
from types import ModuleType
from typing import Any, ClassVar

LIBRARIES = (
    *("dotenv", "duckdb", "jmespath", "loguru", "orjson", "pika", "polars", "psycopg", "requests", "sqlite3", "yaml"),
    *("html.entities", "rich.console", "rich.progress", "rich.table", "typer._adapters", "typer._click.decorators"),
    *(f"pydantic.{part}" for part in ("functional_serializers", "json_schema", "main", "type_adapter")),
    *("sqlalchemy.dialects.mysql.pymysql", "sqlalchemy.dialects.postgresql.psycopg", "sqlalchemy.dialects.sqlite"),
    *("multiprocessing.spawn", "multiprocessing.sharedctypes"),
    *(f"google.cloud.{part}" for part in ("bigquery", "bigquery_storage_v1", "storage")),
)
BIZON = (
    *("bizon.cli.main", "bizon.cli.files", "bizon.source.discover_ast"),
    *(f"bizon.cli.commands.{name}" for name in ("listing", "preview", "run", "show", "source_test", "state")),
    *(f"bizon.engine.runner.adapters.{runner}" for runner in ("thread", "process", "streaming", "single_role")),
    "bizon.engine.runner.joining.processes",
    *(f"bizon.connectors.destinations.{name}.src.destination" for name in ("duckdb", "file", "logger", "postgres")),
    *(f"bizon.connectors.sources.{name}.src.source" for name in ("files", "rest", "sql")),
    *(f"bizon.engine.backend.adapters.sqlalchemy.{name}" for name in ("backend", "postgres")),
    "bizon.engine.queue.adapters.python_queue.queue",
)
UNPATCHED = (
    *("bizon.cli.text.progress", "bizon.cli.signals", "bizon.config.loading", "bizon.transform.transform"),
    *(f"bizon.connectors.destinations.file.src.{part}" for part in ("file_rows", "manifest", "parquet")),
    *("bizon.destination.buffer", "bizon.engine.backend.adapters.sqlalchemy.migrations"),
    *("bizon.engine.pipeline.fetcher", "bizon.engine.pipeline.in_order", "bizon.engine.pipeline.watermark"),
    "bizon.engine.queue.adapters.python_queue.queue",
)
STAGES = {"libraries": LIBRARIES, "unpatched": (*LIBRARIES, *UNPATCHED), "bizon": (*LIBRARIES, *BIZON)}
EXECUTE = util.spawnv_passfds  # type: ignore[attr-defined]
LOADED: dict[str, ModuleType] = {}
"""Modules that are loaded before the fork. One reference to this dict is never released."""
MOST_DESCRIPTORS = 100  # per message: the channel, the standard streams, and those that a spawned process inherits
HIGH = 500  # a number that no descriptor of a short command has

Channel = Connection  # to the caller that waits for a command; it carries the command, its pid and its exit code


class Server:
    """Waits for commands, and for the ends of their processes."""

    def __init__(self, client: socket.socket) -> None:
        self._client = client
        self._commands: set[socket.socket] = set()
        self._children: dict[int, tuple[int, Channel]] = {}

    def serve(self) -> tuple[Channel, list[int], socket.socket]:
        """Returns only in the children: the channel and descriptors of the command, and a connection to the server."""
        while True:
            for ready in wait([self._client, *self._commands, *self._children]):
                if isinstance(ready, int):
                    self._reap(ready)
                elif (child := self._fork(ready)) is not None:
                    return child

    def _fork(self, client: socket.socket) -> tuple[Channel, list[int], socket.socket] | None:
        message, descriptors, *_ = socket.recv_fds(client, 1, MOST_DESCRIPTORS)
        if not message:
            self._close(client)
            return None
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pid = os.fork()
        if pid == 0:
            ours.close()
            self._forget()
            way_back, channel, *descriptors = map(aside, (theirs.detach(), *descriptors))
            return Connection(channel), descriptors, socket.socket(fileno=way_back)
        theirs.close()
        for descriptor in descriptors[1:]:
            os.close(descriptor)
        channel = Connection(descriptors[0])
        self._commands.add(ours)
        self._children[os.pidfd_open(pid)] = pid, channel
        return None

    def _close(self, client: socket.socket) -> None:
        if client is self._client:
            os._exit(0)
        self._commands.remove(client)
        client.close()

    def _reap(self, handle: int) -> None:
        pid, channel = self._children.pop(handle)
        os.close(handle)
        _, status = os.waitpid(pid, 0)
        with channel, suppress(OSError):  # perhaps nobody is waiting
            channel.send(("code", os.waitstatus_to_exitcode(status)))

    def _forget(self) -> None:
        """Called in a child: close the descriptors of the server."""
        for client in (self._client, *self._commands):
            client.close()
        for handle, (_, channel) in self._children.items():
            os.close(handle)
            channel.close()


def aside(descriptor: int) -> int:
    """Move the descriptor to a high number that no command uses."""
    high = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, HIGH)
    os.close(descriptor)
    return high


def start(server: socket.socket, command: tuple[Any, ...], descriptors: Sequence[int]) -> tuple[int, Channel]:
    """Start a process through a server; returns its pid, and the connection that will bring its exit code. ``command``:
    arguments, folder, variables, process group, and the numbers of the descriptors in the process."""
    ours, theirs = Pipe()
    with theirs:
        socket.send_fds(server, [b"\0"], [theirs.fileno(), *descriptors])
    try:
        ours.send(command)
        kind, number = ours.recv()
    except BaseException:
        ours.close()
        raise
    if kind != "pid":
        raise RuntimeError(f"{command[0]} could not be started; the output of the server says why")
    return number, ours


def become(channel: Channel, descriptors: list[int], path: list[str], added: dict[str, str]) -> list[str]:
    """Set up this process like a new one, and return its arguments. ``path``: ``sys.path`` without the entries that
    depend on the command; ``added``: variables that the imports have set."""
    arguments, folder, variables, process_group, numbers = channel.recv()
    for descriptor, number in zip(descriptors, numbers, strict=True):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(variables | added)
    if process_group >= 0:
        os.setpgid(0, process_group)
    sys.orig_argv = arguments
    sys.argv = arguments[1:2] + arguments[3:]  # -c, or -m, which becomes the path of the module
    sys.path[:] = path
    multiprocessing.process.ORIGINAL_DIR = folder  # type: ignore[attr-defined]
    importlib.invalidate_caches()
    channel.send(("pid", os.getpid()))
    channel.close()
    return arguments


def look_for_modules(search: str) -> None:
    """As Python does when it starts: first PYTHONPATH and a ``sitecustomize`` in it, then the folder."""
    if search:
        found = [os.path.abspath(each) for each in search.split(os.pathsep)]
        sys.path[:] = dict.fromkeys([*found, *sys.path])
        sys.modules.pop("sitecustomize", None)
        site.execsitecustomize()  # type: ignore[attr-defined]
    if not sys.flags.safe_path:
        sys.path.insert(0, os.getcwd())


class Spawned(popen_spawn_posix.Popen):
    """A process that ``multiprocessing`` spawns. The server forks it too, and it runs the code of a new interpreter. It
    is not a child of this process, so the server reports its exit code."""

    server: ClassVar[socket.socket]

    _channel: Channel | None = None

    def _launch(self, process: Any) -> None:
        util.spawnv_passfds = self._start  # type: ignore[attr-defined]
        try:
            super()._launch(process)
        finally:
            util.spawnv_passfds = EXECUTE  # type: ignore[attr-defined]

    def _start(self, path: bytes, arguments: list[str], descriptors: Sequence[int]) -> int:
        if arguments[1] != "-c" or arguments[3:] != ["--multiprocessing-fork"]:  # the resource tracker, or with options
            return EXECUTE(path, arguments, descriptors)
        numbers = [0, 1, 2, *sorted(descriptors)]
        command = (arguments, os.getcwd(), dict(os.environ), os.getpgrp(), numbers)
        pid, self._channel = start(self.server, command, numbers)
        return pid

    def poll(self, flag: int = os.WNOHANG) -> int | None:
        if self._channel is None:
            return super().poll(flag)
        if self.returncode is None and self._channel.poll(None if flag == 0 else 0):
            _, self.returncode = self._channel.recv()
        return self.returncode


def compile_models(base: type[Any]) -> None:
    """Build the validators of all models, which pydantic otherwise does in each child when it first needs them."""
    for model in base.__subclasses__():
        if not model.__pydantic_complete__:
            model.model_rebuild(raise_errors=False)
        compile_models(model)


def leave_standing() -> None:
    """Called at the very end of a child: the modules of the server are not torn down, which would copy all their memory
    first. The objects of the command are."""
    for name in LOADED:
        sys.modules.pop(name, None)


def main(stage: str, descriptor: str) -> None:
    gc.disable()
    atexit.register(leave_standing)  # registered first, so called last
    path = sys.path if sys.flags.safe_path else sys.path[1:]
    before = dict(os.environ)
    for name in STAGES[stage]:
        importlib.import_module(name)
    compile_models(sys.modules["pydantic.main"].BaseModel)
    typer_main = sys.modules["typer.main"]
    typer_main.get_command = functools.cache(typer_main.get_command)  # type: ignore[attr-defined]  # 20 ms of a command
    if "bizon.cli.main" in sys.modules:
        typer_main.get_command(sys.modules["bizon.cli.main"].cli)
    sysconfig.get_path = functools.cache(sysconfig.get_path)  # loguru calls it often for each sink: 10 ms of a run
    for scheme in sysconfig.get_scheme_names():
        for name in ("stdlib", "platstdlib", "platlib", "purelib"):
            sysconfig.get_path(name, scheme)
    added = dict(os.environ.items() - before.items())
    LOADED.update(sys.modules)
    for name in ("__main__", "builtins", "sys"):
        del LOADED[name]
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(LOADED))
    gc.freeze()
    control = socket.socket(fileno=int(descriptor))
    control.send(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})).encode())
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server ends with its client, not by Ctrl-C
    channel, descriptors, way_back = Server(control).serve()
    arguments = become(channel, descriptors, path, added)
    Spawned.server, popen_spawn_posix.Popen = way_back, Spawned  # type: ignore[misc]
    signal.signal(signal.SIGINT, handler)
    sys.modules["__main__"] = script = ModuleType("__main__")
    if "__annotations__" in globals():  # some versions of Python set it
        script.__annotations__ = {}
    gc.enable()
    look_for_modules(os.environ.get("PYTHONPATH", ""))
    if arguments[1] == "-c":
        exec(arguments[2], vars(script))
    else:
        runpy._run_module_as_main("bizon")  # type: ignore[attr-defined]


if __name__ == "__main__":
    main(*sys.argv[1:])
