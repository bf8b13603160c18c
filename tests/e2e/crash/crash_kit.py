"""Shared by the crash matrix and the chaos loop: a pipeline in a folder, ways to kill it, what must hold after."""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import commands
import polars as pl
import yaml
from e2e.crash.crash_cli import environment

HERE = Path(__file__).parent
STREAM = "items"
MODES = ["full_refresh", "incremental"]
STREAMED = "stream"
FORMATS = ["json", "parquet"]
REFUSED = 5
"""With dead letters, every fifth item is one."""
DEAD_LETTERS = {
    "on_error": "dead_letter",
    "transforms": [{"label": "refuse", "python": f"if data['id'] % {REFUSED} == 0: raise ValueError('refused')"}],
}
PAGE_BY_PAGE = {"max_records": 1}
"""Micro-batch of a stream that is written page by page."""
Row = tuple[int, int]
"""An item and its version."""
PERMANENT = ("manifest.json", "lock")
LISTS = ("journal", "tables-*.json", "tables-*", "tables-*/manifest.json", "tables-*/lock")
"""In ``.bizon/<file name>/`` after a clean end; LISTS in sync mode stream."""


class Rig:
    """A pipeline from the paged source into a file, run by the real command in a folder of its own."""

    def __init__(self, folder: Path, mode: str, format: str, runner: str = "thread", **source: Any) -> None:
        self.folder = folder
        self.runner = runner
        self.state: str | None = "state"
        self.log_file = folder / "log.txt"
        self.cluster: str | None = None
        self.lease_ttl = 60.0
        self.producers = 1
        self.micro_batch: dict[str, Any] = PAGE_BY_PAGE
        self.output = folder / f"out.{format}"
        self.source: dict[str, Any] = {
            "name": "paged",
            "stream": STREAM,
            "sync_mode": mode,
            "source_file_path": str(HERE / "paged_source.py"),
            **source,
        }
        self.destination: dict[str, Any] = {"destination_id": "out", "format": format, "buffer_size": 0}
        self.transforms: list[dict[str, Any]] = []
        self.dead_letters = False

    def change(self) -> None:
        """All items get their next version, now."""
        self.source["version"] = self.source.get("version", 1) + 1
        self.source["changed_at"] = datetime.now(UTC).isoformat()

    @property
    def is_stream(self) -> bool:
        return bool(self.source["sync_mode"] == STREAMED)

    def expected(self, pages: int = 4, size: int = 3) -> list[Row]:
        """The output after all versions so far: the last one, or each of them where changes are appended. With dead
        letters, what is in both files."""
        pages = self.source.get("pages", pages)
        version = self.source.get("version", 1)
        versions = [version] if self.source["sync_mode"] == "full_refresh" else range(1, version + 1)
        ids = [page * size + row for page in range(pages) if page != 1 for row in range(size)]
        return sorted((id_, version) for version in versions for id_ in ids)

    def rows(self) -> list[Row] | None:
        """The published output, sorted; None when there is none. Raises ValueError on a line that cannot be parsed."""
        if not self.output.exists():
            return None
        found = rows_of(self.output)
        if self.dead_letters:
            path = self.folder / "out.dead_letters.json"
            letters = [] if self.is_stream and not path.exists() else rows_of(path)
            if any(id_ % REFUSED == 0 for id_, _ in found) or any(id_ % REFUSED for id_, _ in letters):
                raise ValueError("a record is in the wrong file")
            found += letters
        return sorted(found)

    def allowed(self, old: list[Row] | None) -> list[list[Row] | None]:
        """The outputs that may be published after ``old``: the same, or the new one. Dead letters come first."""
        new = self.expected()
        if not self.dead_letters or old is None:
            return [old, new]
        between = [row for row in old if row[0] % REFUSED] + [row for row in new if not row[0] % REFUSED]
        return [old, new, sorted(between)]

    @property
    def destination_block(self) -> dict[str, Any]:
        """The destination block of the config."""
        return {"name": "file", "config": self.destination}

    @property
    def runner_block(self) -> dict[str, Any]:
        """Settings of the runner."""
        return {
            "is_alive_check_interval": 0.2,
            "micro_batch": self.micro_batch,
            "lease_ttl": self.lease_ttl,
            "max_parallel_partitions": self.producers,
        }

    @property
    def cluster_block(self) -> dict[str, Any]:
        """Where the workers of runner ray are."""
        return {"ray": {"address": self.cluster, "num_cpus": 0.5}} if self.runner == "ray" else {}

    @property
    def backend_block(self) -> dict[str, Any]:
        """Where the state is; ``state`` None: in memory."""
        if self.state is None:
            return {"type": "sqlite_in_memory"}
        return {"type": "sqlite", "config": {"database": self.state, "schema": "public"}}

    def command(self, *flags: str) -> list[str]:
        """The command line; writes the config."""
        config = {
            "name": "pipe",
            "source": self.source,
            "destination": self.destination_block,
            "transforms": self.transforms,
            **(DEAD_LETTERS if self.dead_letters else {}),
            "engine": {
                "backend": self.backend_block,
                "queue": {"type": "python_queue", "config": {"consumer": {"poll_interval": 0.05}}},
                "runner": {"type": self.runner, "config": self.runner_block, **self.cluster_block},
            },
        }
        aside = self.folder / "config.yml.new"
        aside.write_text(yaml.safe_dump(config))
        aside.replace(self.folder / "config.yml")  # one that was started before may be about to read it
        return [*commands.BIZON, "run", "config.yml", *flags]

    def start(self, point: str | None = None, *flags: str) -> "subprocess.Popen[str]":
        """Start the command, leading a process group."""
        with self.log_file.open("a") as log:
            return commands.Popen(
                self.command(*flags),
                cwd=self.folder,
                stdout=log,
                stderr=log,
                text=True,
                process_group=0,
                env=None if point is None else environment(point),
            )

    @contextlib.contextmanager
    def started(self, point: str | None = None, *flags: str) -> Iterator["subprocess.Popen[str]"]:
        """Within: the command runs; nothing of it is left afterwards."""
        child = self.start(point, *flags)
        try:
            yield child
        finally:
            kill_group(child)

    def run(self, point: str | None = None, *flags: str, timeout: float = 60) -> int:
        """Run to its end, or to its death at ``point``; the exit code."""
        with self.started(point, *flags) as child:
            return child.wait(timeout)

    def run_and_kill(self, delay: float) -> tuple[bool, int | None]:
        """Run for at most ``delay`` seconds. Whether it was killed, and the exit code if not."""
        with self.started() as child:
            try:
                return False, child.wait(delay)
            except subprocess.TimeoutExpired:
                return True, None

    def log(self) -> str:
        """All that the runs have printed."""
        return "".join(path.read_text() for path in sorted(self.folder.glob("log*.txt")))

    def statuses(self) -> list[str]:
        """The status of each job, oldest first."""
        return [status for _, status in self._jobs(self.state)]

    def spools_of_jobs_to_resume(self, state: str) -> list[str]:
        """The files, as ``leftovers`` names them, with fetched pages of jobs of this state that have not ended."""
        unfinished = [id_ for id_, status in self._jobs(state) if status not in ("succeeded", "cancelled")]
        found = [path for id_ in unfinished for path in self.folder.glob(f"{state}.spool/*/{id_}.*.spool")]
        return [
            str(inner.relative_to(self.folder)) for path in found for inner in (path, path.parent, path.parent.parent)
        ]

    def _jobs(self, state: str | None) -> list[tuple[str, str]]:
        """Id and status of each job, oldest first."""
        path = self.folder / f"{state}.sqlite3"
        if not path.exists():
            return []
        with contextlib.closing(sqlite3.connect(path)) as connection:
            try:
                return connection.execute("SELECT id, status FROM stream_jobs ORDER BY created_at").fetchall()
            except sqlite3.OperationalError:  # killed before the tables were made
                return []

    def leftovers(self) -> list[str]:
        """Files and folders, other than the output and the state, that a finished run should not leave."""
        hidden = self.folder / ".bizon"
        patterns = (*PERMANENT, *LISTS) if self.is_stream else PERMANENT
        kept = {hidden}
        for output in (hidden / self.output.name, hidden / "out.dead_letters.json"):
            kept |= {output, *(path for pattern in patterns for path in output.glob(pattern))}
        own = [path for path in hidden.rglob("*") if path not in kept]
        own += [path for name in ("*.spool", "*.tmp") for path in self.folder.rglob(name) if path not in own]
        return sorted(str(path.relative_to(self.folder)) for path in own)


Build = Callable[[str, str, str], Rig]
"""Mode, format, runner: a pipeline that has published version 1, and whose source has version 2 now."""


def rows_of(path: Path, *, growing: bool = False) -> list[Row]:
    """The items of a file, in its order. Raises ValueError on a line that cannot be parsed; the last
    line of a ``growing`` file may be torn."""
    if path.is_dir():
        lines = [line for part in sorted(path.iterdir()) for line in _rows_of_parquet(part)]
    elif path.suffix == ".parquet":
        lines = _rows_of_parquet(path)
    else:
        text, _, torn = path.read_text().rpartition("\n")
        if torn and not growing:
            raise ValueError(f"the last line is torn: {torn[-80:]!r}")
        lines = [json.loads(line) for line in text.splitlines()]
    found = []
    for line in lines:
        data = json.loads(line["source_data"])
        if str(data["id"]) != line["source_record_id"]:
            raise ValueError(f"the content of another record: {line}")
        found.append((int(data["id"]), int(data["version"])))
    return found


def _rows_of_parquet(path: Path) -> list[dict[str, Any]]:
    try:
        return pl.read_parquet(path).to_dicts()
    except FileNotFoundError:  # a part of a stream that was rolled back this moment
        if path.parent.suffix != path.suffix:
            raise
        return []


def kill_group(child: "subprocess.Popen[str]") -> None:
    """SIGKILL to all processes of a command's group, and wait for the command."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def freeze(child: "subprocess.Popen[str]") -> None:
    """SIGSTOP to all processes of a command's group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGSTOP)


def thaw(child: "subprocess.Popen[str]") -> None:
    """SIGCONT to all of them."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGCONT)


def is_frozen(child: "subprocess.Popen[str]") -> bool:
    """Whether the command itself is stopped."""
    try:
        return Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    except OSError:
        return False
