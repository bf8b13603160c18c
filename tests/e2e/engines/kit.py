"""A pipeline on the engines of production: state and queue are kept by servers, each role may be a command of its own.

Every wait has a deadline, and what is still running when a test ends is killed.
"""

import os
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from uuid import uuid4

import commands
import psycopg
from e2e.crash.crash_cli import environment
from e2e.faults import fault
from postgres import Place
from proxy import Proxy

from bizon.engine.backend.models import StreamKey
from bizon.engine.engine import load_config
from bizon.engine.runner.pipeline_report import PipelineReport
from bizon.engine.runner.report import report_on

if TYPE_CHECKING:
    import subprocess

    from conftest import Pipeline

PATIENCE = 100.0  # seconds; for a machine that has much else to do
PAGE_SIZE = 5
COMMITTED = "SELECT coalesce(max(to_source_iteration) + 1, 0) FROM destination_cursors WHERE job_id = ({})".format(
    "SELECT id FROM stream_jobs ORDER BY created_at DESC LIMIT 1"
)


def until(condition: Callable[[], object], seconds: float = PATIENCE, told: Callable[[], str] = str) -> None:
    """Wait until the condition is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain\n{told()}"
        time.sleep(0.02)


class State(Protocol):
    """The database with the checkpoints."""

    def config(self) -> dict[str, Any]:
        """``engine.backend``."""

    def ask(self, statement: str) -> list[tuple[Any, ...]]:
        """Rows of a query; none while there are no tables."""


class PostgresState:
    """``proxy``: what stands between it and the commands."""

    def __init__(self, place: Place, proxy: Proxy | None = None) -> None:
        self._place = place
        self._proxy = proxy
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None

    def config(self) -> dict[str, Any]:
        through = {} if self._proxy is None else {"host": self._proxy.host, "port": self._proxy.port}
        return self._place.config(**through)

    def ask(self, statement: str) -> list[tuple[Any, ...]]:
        if self._connection is None:
            self._connection = self._place.connect()
        with suppress(psycopg.errors.UndefinedTable):
            return self._connection.execute(statement.encode()).fetchall()
        return []

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()


class SQLiteState:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def config(self) -> dict[str, Any]:
        return {"type": "sqlite", "config": {"database": "state", "schema": "public"}}

    def ask(self, statement: str) -> list[tuple[Any, ...]]:
        with suppress(sqlite3.OperationalError):
            path = (self._folder / "state.sqlite3").as_uri()
            with closing(sqlite3.connect(f"{path}?mode=ro", uri=True)) as connection:
                return connection.execute(statement).fetchall()
        return []


class Command:
    """A ``bizon run`` that was started; it leads a process group."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path, begin: int) -> None:
        self.process = process
        self._log = log
        self._begin = begin

    def ended(self, expect: int | None = 0, seconds: float = PATIENCE) -> str:
        """Wait until it ends by itself; returns its output."""
        code = self.process.wait(seconds)
        assert expect is None or code == expect, f"exit {code}\n{self.text}"
        return self.text

    def kill(self) -> None:
        """SIGKILL to all of its processes; it may have ended."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Ask it to end; returns once it has received the signal."""
        self.process.send_signal(how)
        until(lambda: "Stopping after the current page" in self.text)

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None

    @property
    def text(self) -> str:
        """The output so far, of both streams."""
        return self._log.read_bytes()[self._begin :].decode()


class Engine:
    """A gated pipeline: ``allow`` says how many pages its source may serve."""

    def __init__(self, pipeline: "Pipeline", state: State, queue: dict[str, Any] | None) -> None:
        self.pipeline = pipeline
        self.folder = pipeline.folder
        self.state = state
        self._commands: list[Command] = []
        pipeline.config["name"] = f"pipe {uuid4().hex}"
        pipeline.set("engine.backend", state.config()).source(gated=True)
        pipeline.destination(buffer_size=0)
        if queue is not None:
            pipeline.set("engine.queue", queue)
        self.allow(0)

    @property
    def queue_name(self) -> str:
        """The queue or topic at the broker."""
        source = self.pipeline.config["source"]
        return StreamKey(self.pipeline.config["name"], source["name"], source["stream"]).broker_name

    def allow(self, pages: int) -> None:
        """Let the source serve this many pages in all."""
        aside = self.folder / "allowed.tmp"
        aside.write_text(str(pages))
        aside.replace(self.folder / "allowed.txt")

    def start(self, role: str | None = None, *flags: str, crash_at: str | None = None, **faults: Any) -> Command:
        """Start a run, or one role of it. ``crash_at``: a point of ``crash_cli.py`` at which the process dies;
        ``faults``: see ``hook/sitecustomize.py``."""
        command = [*self.pipeline.command, *flags, *(["--role", role] if role else [])]
        with fault(**faults):
            variables = environment(f"{crash_at}@self") if crash_at else dict(os.environ)
        path = self.folder / f"{role or 'run'}.log"
        with path.open("ab") as log:
            begin = log.tell()
            process = commands.Popen(command, cwd=self.folder, stdout=log, stderr=log, process_group=0, env=variables)
        self._commands.append(Command(process, path, begin))
        return self._commands[-1]

    def run(self, role: str | None = None, *flags: str, expect: int | None = 0, **how: Any) -> str:
        """Run to the end; returns the output."""
        return self.start(role, *flags, **how).ended(expect)

    def close(self) -> None:
        """Kill everything that still runs."""
        for command in self._commands:
            command.kill()

    def wait(self, condition: Callable[[], object], seconds: float = PATIENCE) -> None:
        """Wait until the condition is true. Fails with the output of the commands."""
        until(condition, seconds, lambda: "\n---\n".join(each.text for each in self._commands))

    def committed(self) -> int:
        """Pages of the newest job that have a checkpoint."""
        rows = self.state.ask(COMMITTED)
        return int(rows[0][0]) if rows else 0

    def wait_for_commit(self, pages: int, job: int = 1) -> None:
        """Wait until this many pages of the ``job``-th job have a checkpoint."""
        self.wait(lambda: len(self.statuses()) == job and self.committed() >= pages)

    def wait_for_page(self, number: int) -> None:
        """Wait until the source is asked for a page."""
        self.wait(lambda: f"page {number}" in self.pipeline.trace())

    def asked(self) -> Counter[str]:
        """The number of requests for each page."""
        return Counter(line for line in self.pipeline.trace() if line.startswith("page"))

    def report(self) -> PipelineReport:
        """The report that ``bizon status`` would show."""
        assert self.pipeline.command
        return report_on(load_config(self.folder / "config.yml").config)

    def statuses(self) -> list[str]:
        """The statuses of the jobs, oldest first."""
        return [status for (status,) in self.state.ask("SELECT status FROM stream_jobs ORDER BY created_at")]

    def assert_done(self, pages: int, jobs: int = 1, cancelled: int = 0) -> None:
        """Every record is there once and in order, the state agrees, and nobody holds the pipeline any more."""
        assert self.pipeline.ids() == list(range(pages * PAGE_SIZE))
        report = self.report()
        assert self.statuses() == ["cancelled"] * cancelled + ["succeeded"] * jobs
        assert (report.state, report.error, report.is_running) == ("succeeded", None, False)
        assert (report.rows_written, report.last_iteration) == (pages * PAGE_SIZE, pages - 1)
        assert self.state.ask("SELECT count(*) FROM stream_leases") == [(0,)]


@contextmanager
def closing_engine(engine: Engine) -> Iterator[Engine]:
    """Within: it may be used; afterwards nothing of it runs."""
    try:
        yield engine
    finally:
        engine.close()
