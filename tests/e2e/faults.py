"""Faults from outside: a part of the run that fails, a disk that is full or read-only, a state that somebody else
holds. Each is a context manager; after it the fault is gone."""

import json
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from servers import server_or_skip

if TYPE_CHECKING:
    from conftest import Pipeline

HOOK = Path(__file__).with_name("hook")
EVERYTHING = list(range(20))


@contextmanager
def fault(**faults: Any) -> Iterator[None]:
    """Within: commands get the faults that ``hook/sitecustomize.py`` describes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FAULT", json.dumps(faults))
        patch.setenv("PYTHONPATH", str(HOOK), prepend=os.pathsep)
        yield


def noted(pipeline: "Pipeline", word: str) -> list[str]:
    """The notes of the hook under one word: the answers, or the processes that were held."""
    path = pipeline.folder / "fault.txt"
    lines = path.read_text().splitlines() if path.exists() else []
    return [line.split()[1] for line in lines if line.split()[0] == word]


def release(pipeline: "Pipeline", function: str) -> None:
    """Release the processes that are held at a function."""
    (pipeline.folder / f"go.{function}").touch()


def assert_clear_failure(done: "subprocess.CompletedProcess[str]", reason: str, traceback: bool = False) -> None:
    """Exit code 1, and the reason in words; with a traceback only where a connector has a mistake."""
    assert done.returncode == 1, done.stderr
    assert reason in done.stderr, done.stderr
    assert ("Traceback" in done.stderr) is traceback, done.stderr


@contextmanager
def locked(database: Path) -> Iterator[sqlite3.Connection]:
    """Within: the state file is held by another process, this one, until ``rollback``."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield connection


@dataclass(frozen=True, slots=True)
class Mount:
    """A mount that only its own processes see."""

    folder: Path
    enter: tuple[str, ...]
    outside: Path
    """The folder, for this process."""

    def start(self, pipeline: "Pipeline", *flags: str) -> "subprocess.Popen[str]":
        """Start ``bizon run`` where the mount is seen."""
        change_folder = ["sh", "-c", 'cd "$0" && exec "$@"', str(pipeline.folder)]
        return subprocess.Popen(
            [*self.enter, *change_folder, *pipeline.command, *flags],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            process_group=0,
        )

    def run(self, pipeline: "Pipeline", *flags: str, expect: int = 0) -> "subprocess.CompletedProcess[str]":
        """Run it to the end."""
        done = finished(self.start(pipeline, *flags))
        assert done.returncode == expect, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def fill(self, leaving: int = 0) -> None:
        """Leave this many bytes free."""
        room = os.statvfs(self.outside)
        size = room.f_bavail * room.f_bsize - leaving
        with (self.outside / "ballast").open("wb") as ballast:
            os.posix_fallocate(ballast.fileno(), 0, size)

    def make_room(self) -> None:
        """Undo ``fill``."""
        (self.outside / "ballast").unlink()


def finished(child: "subprocess.Popen[str]") -> "subprocess.CompletedProcess[str]":
    """Wait, with a bound; returns the output, also where both streams are one."""
    out, err = child.communicate(timeout=60)
    return subprocess.CompletedProcess(child.args, child.returncode, out, out if err is None else err)


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Mount]:
    """Within: ``folder`` is a disk of this size, in memory. Its content is gone afterwards."""
    folder.mkdir()
    with _mounted(folder, f'mount -t tmpfs -o size={megabytes}m,mode=0777 none "$0"') as mount:
        yield mount


@contextmanager
def read_only(folder: Path) -> Iterator[Mount]:
    """Within: processes in the mount cannot write to ``folder``, not even as root."""
    with _mounted(folder, 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0"') as mount:
        yield mount


@contextmanager
def _mounted(folder: Path, command: str) -> Iterator[Mount]:
    """A process that keeps a mount namespace of its own, as root or as root of a user namespace of its own."""
    ways = [(["-m"], ["-m"]), (["-rm"], ["-U", "-m", "--preserve-credentials"])]
    for make, enter in ways if os.geteuid() == 0 else ways[1:]:
        script = f"{command} && echo ready && exec cat"
        with subprocess.Popen(
            ["unshare", *make, "sh", "-c", script, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as keeper:
            assert keeper.stdout is not None
            if keeper.stdout.readline() == "ready\n":
                inside = ("nsenter", "-t", str(keeper.pid), *enter)
                yield Mount(folder, inside, Path(f"/proc/{keeper.pid}/root{folder}"))
                return
    server_or_skip("a mount of the test's own", "neither root nor a user namespace may mount here")
