"""A stream with members in a folder: real commands, and what they have written."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import commands
import polars as pl
import yaml
from e2e.crash.crash_cli import environment
from e2e.crash.crash_kit import is_frozen, kill_group
from postgres import Place

from bizon.common.errors.errors import ExitCode

LONGEST = 100.0  # seconds
LEASE_TTL = 2  # seconds
SOURCE = Path(__file__).with_name("places_source.py")
PLACES = ("a", "b", "c", "d")
SIX, TYPED, MERGED, PARQUET, CSV = "six columns", "typed", "merged", "parquet", "csv"


class Stream:
    """A stream whose state is in Postgres, and a destination of one kind."""

    def __init__(self, folder: Path, place: Place, kind: str = SIX) -> None:
        self.folder, self.place, self.kind = folder, place, kind
        self.source: dict[str, Any] = {
            "name": "places",
            "stream": "places",
            "sync_mode": "stream",
            "source_file_path": str(SOURCE),
        }
        self.more: dict[str, Any] = {}
        self.state = place
        self.lease_ttl: float = LEASE_TTL
        self.micro_batch: dict[str, Any] = {"max_records": 1}

    @property
    def destination(self) -> dict[str, Any]:
        if self.kind in (PARQUET, CSV):
            return {"name": "file", "config": {"destination_id": "out", "format": self.kind}}
        keys = {"unnest": False} if self.kind == SIX else {}
        merge = {"write_mode": "merge", "primary_key": ["place"]} if self.kind == MERGED else {}
        own = {**self.place.config()["config"], "destination_id": "out", "idle_timeout": LEASE_TTL}
        return {"name": "postgres", "config": {**own, **keys, **merge}}

    def write(self) -> None:
        runner = {"config": {"lease_ttl": self.lease_ttl, "micro_batch": self.micro_batch}}
        queue = {"type": "python_queue", "config": {"consumer": {"poll_interval": 0.02}}}
        engine = {"backend": self.state.config(), "runner": runner, "queue": queue}
        config = {
            "name": "members",
            "source": self.source,
            "destination": self.destination,
            "engine": engine,
            **self.more,
        }
        aside = self.folder / "config.new"
        aside.write_text(yaml.safe_dump(config))
        aside.replace(self.folder / "config.yml")  # one that was started before may be about to read it

    def assign(self, **places: str) -> None:
        """``assign(one="ab", two="cd")``: who reads what from now on."""
        aside = self.folder / "assigned.new"
        aside.write_text(json.dumps({name: list(each) for name, each in places.items()}))
        aside.replace(self.folder / "assigned.json")

    def produce(self, end: int) -> None:
        aside = self.folder / "end.new"
        aside.write_text(str(end))
        aside.replace(self.folder / "end")

    @contextmanager
    def member(self, name: str, point: str | None = None) -> "Iterator[subprocess.Popen[str]]":
        """Within: a member runs. ``point``: where it dies, or freezes, see ``crash_cli.py``."""
        with self.started("--join", member=name, point=point) as child:
            yield child

    @contextmanager
    def started(self, *flags: str, member: str = "", point: str | None = None) -> "Iterator[subprocess.Popen[str]]":
        child = self.start(*flags, member=member, point=point)
        try:
            yield child
        finally:
            kill_group(child)

    def start(self, *flags: str, member: str = "", point: str | None = None) -> "subprocess.Popen[str]":
        self.write()
        variables = {**(os.environ if point is None else environment(point)), "MEMBER": member}
        with (self.folder / "log.txt").open("a") as log:
            return commands.Popen(
                [*commands.BIZON, "run", "config.yml", *flags],
                cwd=self.folder,
                stdout=log,
                stderr=log,
                text=True,
                process_group=0,
                env=variables,
            )

    def log(self) -> str:
        return (self.folder / "log.txt").read_text()

    def rows(self) -> list[str]:
        """The ids of the records in the output, in order."""
        if self.kind in (PARQUET, CSV):
            read = pl.read_parquet if self.kind == PARQUET else pl.read_csv
            files = sorted((self.folder / f"out.{self.kind}").glob(f"*.{self.kind}"))
            with suppress(FileNotFoundError):  # one that is taken back at this moment
                return sorted(id_ for path in files for id_ in read(path)["source_record_id"])
            return []
        needed = "source_record_id" if self.kind == SIX else "n"
        there = "SELECT 1 FROM information_schema.columns WHERE table_schema = %s AND table_name = 'out'"
        if not self.place.rows(f"{there} AND column_name = %s", self.place.schema, needed):
            return []
        column = "source_record_id" if self.kind == SIX else "concat(place, '-', n)"
        return sorted(id_ for (id_,) in self.place.rows(f"SELECT {column} FROM out"))

    def owns(self, name: str) -> str:
        path = self.folder / f"owns-{name}.json"
        return "".join(json.loads(path.read_text() or "[]")) if path.exists() else ""

    def places(self) -> list[list[str]]:
        """The places that each living member reads, as the state has them."""
        if not self.place.rows("SELECT to_regclass('stream_partitions') IS NOT NULL")[0][0]:
            return []
        alive = "worker IS NOT NULL AND expires_at > timezone('UTC', clock_timestamp())"
        plans = [
            json.loads(plan)["plan"]["places"]
            for (plan,) in self.place.rows(f"SELECT plan FROM stream_partitions WHERE {alive}")
        ]
        return [sorted(name for name, (_, _, is_held) in places.items() if is_held) for places in plans]

    def status(self) -> dict[str, Any]:
        done = commands.run(
            [*commands.BIZON, "status", "config.yml", "--json"], cwd=self.folder, capture_output=True, text=True
        )
        found: dict[str, Any] = json.loads(done.stdout)
        return found


def expected(end: int, places: str = "abcd") -> list[str]:
    return sorted(f"{place}-{n}" for place in places for n in range(end))


def until(condition: Callable[[], bool], stream: Stream, what: str) -> None:
    """Wait for a condition."""
    end = time.monotonic() + LONGEST
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}: {stream.log()[-3000:]}"
        time.sleep(0.02)


def until_rows(stream: Stream, wanted: list[str]) -> None:
    until(lambda: stream.rows() == wanted, stream, f"{len(wanted)} rows, each once")


def until_frozen(child: "subprocess.Popen[str]", stream: Stream) -> None:
    until(lambda: is_frozen(child), stream, "a frozen member")


def stop(child: "subprocess.Popen[str]", stream: Stream) -> None:
    """SIGTERM, after which a member ends in good order."""
    child.send_signal(signal.SIGTERM)
    assert child.wait(LONGEST) == ExitCode.INTERRUPTED, stream.log()
