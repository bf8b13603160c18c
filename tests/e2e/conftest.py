"""A pipeline of the end-to-end tests: its config, its output and its state."""

import json
import sqlite3
import subprocess
from contextlib import closing
from copy import deepcopy
from pathlib import Path
from typing import Any

import commands
import polars as pl
import pytest
import yaml

ITEMS_SOURCE = Path(__file__).with_name("items_source.py")


class Pipeline:
    """Writes ``config.yml`` and runs the real CLI on it, in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config: dict[str, Any] = {
            "name": "pipe",
            "source": {"name": "items", "stream": "items", "source_file_path": str(ITEMS_SOURCE)},
            "destination": {"name": "file", "config": {"destination_id": "out"}},
            "engine": {
                "backend": {"type": "sqlite", "config": {"database": "state", "schema": "public"}},
                # page by page, so that a test knows what is written when
                "runner": {"config": {"is_alive_check_interval": 0.2, "micro_batch": {"max_records": 1}}},
            },
        }

    def set(self, path: str, value: Any) -> "Pipeline":
        """Set a key given as a dotted path."""
        *parents, last = path.split(".")
        block = self.config
        for parent in parents:
            block = block.setdefault(parent, {})
        block[last] = deepcopy(value)
        return self

    def source(self, **keys: Any) -> "Pipeline":
        """Set keys of the source block; None removes one."""
        for key, value in keys.items():
            self.config["source"].pop(key, None)
            if value is not None:
                self.config["source"][key] = value
        return self

    def destination(self, **keys: Any) -> "Pipeline":
        """Set keys of ``destination.config``."""
        self.config["destination"]["config"].update(keys)
        return self

    @property
    def command(self) -> list[str]:
        aside = self.folder / "config.yml.new"
        aside.write_text(yaml.safe_dump(self.config))
        aside.replace(self.folder / "config.yml")  # one that was started before may be about to read it
        return [*commands.BIZON, "run", "config.yml"]

    def run(self, *flags: str, expect: int | None = 0, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run to the end; ``expect`` is the exit code, None for any."""
        done = commands.run([*self.command, *flags], cwd=self.folder, capture_output=True, text=True, timeout=timeout)
        if expect is not None:
            assert done.returncode == expect, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def bizon(self, *arguments: str, expect: int = 0) -> subprocess.CompletedProcess[str]:
        """Run another command in the folder of the pipeline, with its configuration rewritten."""
        _ = self.command
        done = commands.run([*commands.BIZON, *arguments], cwd=self.folder, capture_output=True, text=True, timeout=60)
        assert done.returncode == expect, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def start(self, *flags: str) -> "subprocess.Popen[str]":
        """Start without waiting; the child leads a process group of its own."""
        return commands.Popen(
            [*self.command, *flags],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            process_group=0,
        )

    def lines(self, name: str = "out.json") -> list[dict[str, Any]]:
        """The rows of the output, each line parsed."""
        return [json.loads(line) for line in (self.folder / name).read_text().splitlines()]

    def ids(self, name: str = "out.json") -> list[int]:
        """The record ids of the output, as numbers, in order."""
        path = self.folder / name
        if path.suffix == ".parquet":
            return [int(value) for value in pl.read_parquet(path)["source_record_id"]]
        return [int(line["source_record_id"]) for line in self.lines(name)]

    def trace(self) -> list[str]:
        """The requests that the source received."""
        path = self.folder / "trace.txt"
        return path.read_text().splitlines() if path.exists() else []

    def jobs(self) -> list[tuple[str, str | None]]:
        """Status and error of each job, oldest first."""
        return self.in_state("SELECT status, error_message FROM stream_jobs ORDER BY created_at")

    def in_state(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Change or read the state behind bizon's back."""
        with closing(sqlite3.connect(self.folder / "state.sqlite3")) as connection, connection:
            return connection.execute(statement, values).fetchall()


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    """A pipeline of 20 items on 4 pages, from the items source into ``out.json``."""
    return Pipeline(tmp_path)
