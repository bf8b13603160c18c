"""What the crash matrix and the chaos loop share: a pipeline in a folder, ways to kill it, what must be true after."""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
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
FORMATS = ["json", "parquet"]
REFUSED = 5
"""With dead letters, every fifth item is one."""
DEAD_LETTERS = {
    "on_error": "dead_letter",
    "transforms": [{"label": "refuse", "python": f"if data['id'] % {REFUSED} == 0: raise ValueError('refused')"}],
}
RUNNER = {"is_alive_check_interval": 0.2, "micro_batch": {"max_records": 1}}
"""A stream is written page by page."""
Row = tuple[int, int]
"""An item and its version."""


class Rig:
    """A pipeline from the paged source into a file, run by the real command in a folder of its own."""

    def __init__(self, folder: Path, mode: str, format: str, runner: str = "thread", **source: Any) -> None:
        self.folder = folder
        self.runner = runner
        self.output = folder / f"out.{format}"
        self.source: dict[str, Any] = {
            "name": "paged",
            "stream": STREAM,
            "sync_mode": mode,
            "source_file_path": str(HERE / "paged_source.py"),
            **source,
        }
        self.destination: dict[str, Any] = {"destination_id": "out", "format": format, "buffer_size": 0}
        self.dead_letters = False

    def change(self) -> None:
        """All items get their next version, now."""
        self.source["version"] = self.source.get("version", 1) + 1
        self.source["changed_at"] = datetime.now(UTC).isoformat()

    def expected(self, pages: int = 4, size: int = 3) -> list[Row]:
        """The output after all versions so far: the last one, or each of them where changes are appended. With dead
        letters, what is in both files."""
        pages = self.source.get("pages", pages)
        version = self.source.get("version", 1)
        versions = range(1, version + 1) if self.source["sync_mode"] == "incremental" else [version]
        ids = [page * size + row for page in range(pages) if page != 1 for row in range(size)]
        return sorted((id_, version) for version in versions for id_ in ids)

    def rows(self) -> list[Row] | None:
        """The published output, sorted; None when there is none. Raises ValueError on a line that cannot be parsed."""
        if not self.output.exists():
            return None
        found = rows_of(self.output)
        if self.dead_letters:
            letters = rows_of(self.folder / "out.dead_letters.json")
            if any(id_ % REFUSED == 0 for id_, _ in found) or any(id_ % REFUSED for id_, _ in letters):
                raise ValueError("a record is in the wrong file")
            found += letters
        return sorted(found)

    def allowed(self, old: list[Row] | None) -> list[list[Row] | None]:
        """What may be published, when it was ``old`` before: that, or the new. Dead letters come first."""
        new = self.expected()
        if not self.dead_letters or old is None:
            return [old, new]
        between = [row for row in old if row[0] % REFUSED] + [row for row in new if not row[0] % REFUSED]
        return [old, new, sorted(between)]

    @property
    def destination_block(self) -> dict[str, Any]:
        """What the config says of the destination."""
        return {"name": "file", "config": self.destination}

    def command(self, *flags: str) -> list[str]:
        """The command line; writes the config."""
        config = {
            "name": "pipe",
            "source": self.source,
            "destination": self.destination_block,
            **(DEAD_LETTERS if self.dead_letters else {}),
            "engine": {
                "backend": {"type": "sqlite", "config": {"database": "state", "schema": "public"}},
                "runner": {"type": self.runner, "config": RUNNER},
            },
        }
        (self.folder / "config.yml").write_text(yaml.safe_dump(config))
        return [*commands.BIZON, "run", "config.yml", *flags]

    @contextlib.contextmanager
    def started(self, point: str | None = None, *flags: str) -> Iterator["subprocess.Popen[str]"]:
        """Within: the command runs, leading a process group; nothing of it is left afterwards."""
        with (self.folder / "log.txt").open("a") as log:
            child: subprocess.Popen[str] = commands.Popen(
                self.command(*flags),
                cwd=self.folder,
                stdout=log,
                stderr=log,
                text=True,
                process_group=0,
                env=None if point is None else environment(point),
            )
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
                with (self.folder / "trace.txt").open("a") as trace:
                    trace.write(f"killed 0 {time.time():.3f}\n")
                return True, None

    def log(self) -> str:
        """All that the runs have printed."""
        path = self.folder / "log.txt"
        return path.read_text() if path.exists() else ""

    def statuses(self) -> list[str]:
        """The status of each job, oldest first."""
        path = self.folder / "state.sqlite3"
        if not path.exists():
            return []
        with contextlib.closing(sqlite3.connect(path)) as connection:
            try:
                found = connection.execute("SELECT status FROM stream_jobs ORDER BY created_at").fetchall()
            except sqlite3.OperationalError:  # killed before the tables were made
                return []
        return [status for (status,) in found]

    def leftovers(self) -> list[str]:
        """Files and folders beside the output and the state that a finished run should not leave."""
        hidden = self.folder / ".bizon"
        outputs = [hidden / name for name in (self.output.name, "out.dead_letters.json")]
        kept = {hidden, *outputs, *(output / "manifest.json" for output in outputs)}
        own = [path for path in hidden.rglob("*") if path not in kept] + list(self.folder.rglob("*.spool"))
        return sorted(str(path.relative_to(self.folder)) for path in own)


def rows_of(path: Path) -> list[Row]:
    """The items of a file, in its order. Raises ValueError on a line that cannot be parsed."""
    if path.suffix == ".parquet":
        lines: list[dict[str, Any]] = pl.read_parquet(path).to_dicts()
    else:
        text = path.read_text()
        if text and not text.endswith("\n"):
            raise ValueError(f"the last line is torn: {text[-80:]!r}")
        lines = [json.loads(line) for line in text.splitlines()]
    found = []
    for line in lines:
        data = json.loads(line["source_data"])
        if str(data["id"]) != line["source_record_id"]:
            raise ValueError(f"the content of another record: {line}")
        found.append((int(data["id"]), int(data["version"])))
    return found


def kill_group(child: "subprocess.Popen[str]") -> None:
    """SIGKILL to all processes of a command's group, and wait for the command."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
