"""Kills and freezes commands that share a job, at random:
``python tests/e2e/crash/joined_chaos.py --n 200 --workers 4 --seed 1``, or ``make chaos N=200 WORKERS=4 JOIN=1``. With
``--postgres URL``, or ``STATE=URL``, the state is in a schema of that database instead of SQLite.

Job after job, in any runner and format, with and without dead letters, is shared by that many commands. At random
moments one of them dies by SIGKILL, and another one starts; or it is frozen by SIGSTOP for longer than its lease, and
wakes up while others have its part, or have published. The output must be missing or whole at any time. In the end
every command that was not killed has to succeed, one job has succeeded, each record is there once, and nothing is left
behind.
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[2]))
from commands import bytecode_kept_in
from e2e.crash.crash_kit import FORMATS, Rig, freeze, kill_group, thaw
from e2e.crash.test_joined_postgres import StateInPostgres
from postgres import place_at

LEASE_TTL = 1.0  # seconds
FROZEN_FOR = (0.5, 2.5)  # seconds
BETWEEN = (0.1, 0.8)  # seconds
DEAD_LETTERS = 0.3  # share of the jobs in which some records cannot be delivered
MOST_EVENTS = 12  # of a job


class Job:
    """A job, and the commands that share it."""

    def __init__(self, rig: Rig, chance: random.Random, workers: int, patience: float) -> None:
        self.rig, self.chance, self.patience = rig, chance, patience
        self.awake: list[subprocess.Popen[str]] = []
        self.frozen: dict[subprocess.Popen[str], float] = {}
        self.ended: list[subprocess.Popen[str]] = []
        self.counts: Counter[str] = Counter()
        for _ in range(workers):
            self._start()

    def run(self, events: int) -> str | None:
        """Disturb the commands, at most ``events`` times, and let them end. Returns a complaint, or None."""
        try:
            return self._disturb(events) or self._calm_down() or self._result()
        finally:
            for child in (*self.awake, *self.frozen):
                kill_group(child)

    def _start(self) -> None:
        self.awake.append(self.rig.start(None, "--join", "--join-id", "chaos"))

    def _disturb(self, events: int) -> str | None:
        while sum(self.counts.values()) < events and (self.awake or self.frozen):
            time.sleep(self.chance.uniform(*BETWEEN))
            self._look_after()
            if not self.awake:
                continue
            child = self.chance.choice(self.awake)
            self.awake.remove(child)
            if self.chance.random() < 0.5:
                kill_group(child)
                self.counts["kills"] += 1
                self._start()
            else:
                freeze(child)
                self.counts["freezes"] += 1
                self.frozen[child] = time.monotonic() + LEASE_TTL + self.chance.uniform(*FROZEN_FOR)
            if self.rig.rows() not in self.rig.allowed(None):
                return "the output is neither missing nor whole"
        return None

    def _look_after(self) -> None:
        """Wake up those that were frozen for long enough, and set those aside that have ended."""
        for child, until in list(self.frozen.items()):
            if time.monotonic() >= until:
                del self.frozen[child]
                thaw(child)
                self.awake.append(child)
        self.ended += [child for child in self.awake if child.poll() is not None]
        self.awake = [child for child in self.awake if child.poll() is None]

    def _calm_down(self) -> str | None:
        until = time.monotonic() + self.patience
        while self.awake or self.frozen:
            if time.monotonic() > until:
                return f"{len(self.awake)} commands do not end"
            time.sleep(0.05)
            self._look_after()
        codes = Counter(child.returncode for child in self.ended)
        return None if set(codes) == {0} else f"exit codes {dict(codes)}"

    def _result(self) -> str | None:
        rows = self.rig.rows()
        if rows != self.rig.expected():
            missing = Counter(self.rig.expected()) - Counter(rows or [])
            twice = Counter(rows or []) - Counter(self.rig.expected())
            return f"{missing.total()} records are missing, {twice.total()} are there too often"
        if self.rig.statuses() != ["succeeded"]:
            return f"jobs {self.rig.statuses()}"
        if left := self.rig.leftovers():
            return f"left behind: {left}"
        return "a traceback" if "Traceback" in self.rig.log() else None


def rig_of(folder: Path, postgres: str | None, *how: str, **source: Any) -> Rig:
    if postgres is None:
        return Rig(folder, "full_refresh", *how, **source)
    rig = StateInPostgres(folder, "full_refresh", *how, **source)
    rig.place = place_at(postgres).with_own_schema()
    return rig


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill and freeze commands that share a job; find what is lost.")
    parser.add_argument("--n", type=int, default=200, help="kills and freezes")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=4, help="commands that share a job")
    parser.add_argument("--pages", type=int, default=40)
    parser.add_argument("--delay", type=float, default=0.1, help="seconds per page")
    parser.add_argument("--patience", type=float, default=120, help="seconds after which a command counts as stuck")
    parser.add_argument("--postgres", metavar="URL", help="keep the state in this database")
    options = parser.parse_args()
    folder, chance = Path(tempfile.mkdtemp(prefix="chaos-")), random.Random(options.seed)
    os.environ.update(bytecode_kept_in(folder / "bytecode"))
    counts: Counter[str] = Counter()
    while counts["kills"] + counts["freezes"] < options.n:
        own = folder / f"job{counts['jobs']}"
        own.mkdir()
        parts = {"partitions": 3 * options.workers, "pages": options.pages, "delay": options.delay}
        rig = rig_of(own, options.postgres, chance.choice(FORMATS), chance.choice(["thread", "process"]), **parts)
        rig.lease_ttl, rig.producers, rig.dead_letters = (
            LEASE_TTL,
            chance.choice([1, 2]),
            chance.random() < DEAD_LETTERS,
        )
        job = Job(rig, chance, options.workers, options.patience)
        left = options.n - counts["kills"] - counts["freezes"]
        wrong = job.run(min(left, chance.randint(1, MOST_EVENTS)))
        counts += job.counts
        counts["jobs"] += 1
        if wrong is not None:
            print(f"{own} ({rig.runner}, {rig.destination}, dead letters {rig.dead_letters}): {wrong}", file=sys.stderr)
            return 1
        shutil.rmtree(own)
        if isinstance(rig, StateInPostgres):
            rig.place.drop()
    print(f"chaos, {options.workers} commands, seed {options.seed}: {dict(counts)}, nothing lost, doubled or stuck")
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
