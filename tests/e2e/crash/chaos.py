"""Kills and freezes runs at random until luck is ruled out:
``python tests/e2e/crash/chaos.py --n 200 --seed 1``, or ``make chaos N=200 SEED=1``.

Pipeline after pipeline, of any sync mode, runner, format and buffer, with and without dead letters, loads a slow source
into a file. A storm blows over each: its runs die by SIGKILL, or are frozen by SIGSTOP for longer than their lease
while others take over, and thawed again, at random moments, several at once; then one more run has to succeed. Then
its source changes, and the same again, until there were ``--n`` kills and freezes. Some full refreshes keep their state
in memory, and some pipelines have two states, so that their runs do not know each other. After each event the published
output must be the old one or the new one, and at the end each record must be there once. In sync mode ``stream`` no
record may ever be there twice.

One line is printed:

* ``lost``, ``duplicated``: records; ``half``: outputs that were neither old nor new, or could not be parsed;
  ``stuck``: runs that did not end in time, failed by themselves, or left a job or files behind. Any of them: exit 1.
* ``fetched again``, of pipelines with one state whose runs were only killed: pages that had been served and were
  requested again, and how long before the kill the oldest of them had been served; a page in flight is counted apart.

With ``--workers`` the streams are planned in partitions, which that many producers fetch at once; changes of an
incremental pipeline, sync mode ``stream`` and the runner of that name have none.

A run with two states may find that a run of the other state has removed its staged rows. It says so and asks for
``--fresh``, which then has to succeed.
"""

import argparse
import itertools
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2]))
from commands import bytecode_kept_in
from e2e.crash.crash_kit import FORMATS, MODES, STREAMED, Rig, Row, rows_of
from e2e.crash.pages_again import PagesAgain
from e2e.crash.storm import Storm

RUNNERS = ["thread", "process", "stream"]
BUFFERS = [{"buffer_size": 0}, {"buffer_size": 50, "buffer_flush_timeout": 1}, {"buffer_size": 50}]
MICRO_BATCHES = [{"max_records": 1}, {"max_records": 7, "max_seconds": 0.3}]
DEAD_LETTERS = 0.3  # share of the pipelines in which some records cannot be delivered
ONLY_KILLS = 0.2  # share of those that are not frozen
STRANGERS = 0.2  # share of those whose runs do not know each other
MOST_EVENTS = 10  # in a phase
PHASES = 2
LEASE_TTL = 1.0  # seconds


@dataclass
class Tally:
    """The counts that are printed."""

    counts: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    duplicated: int = 0
    half: int = 0
    stuck: int = 0
    pages: PagesAgain = field(default_factory=PagesAgain)

    @property
    def events(self) -> int:
        return self.counts["kills"] + self.counts["freezes"]

    @property
    def bad(self) -> int:
        return self.lost + self.duplicated + self.half + self.stuck

    def complain(self, rig: Rig, text: str) -> None:
        about = f"{rig.source['sync_mode']}, {rig.runner}, {rig.destination}, dead letters {rig.dead_letters}"
        print(f"{rig.folder} ({about}): {text}", file=sys.stderr, flush=True)

    def line(self) -> str:
        counts = ", ".join(
            f"{self.counts[name]} {name}" for name in ("kills", "freezes", "thaws", "overtaken", "resumes")
        )
        return (
            f"{counts}, {self.lost} lost, {self.duplicated} duplicated, {self.half} half, {self.stuck} stuck; "
            f"{self.pages}"
        )


class Chaos:
    """The loop."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options = options
        self.folder = folder
        self.random = random.Random(options.seed)
        self.tally = Tally()
        self.typical = self._typical()

    def run(self) -> Tally:
        for number in itertools.count():
            if self.tally.events >= self.options.n or self.tally.stuck:
                return self.tally
            bad = self.tally.bad
            rig, states = self._pipeline(f"round{number}")
            freezes = self.random.random() >= ONLY_KILLS
            for phase in range(PHASES):
                if not self.tally.bad > bad:
                    self._phase(rig, phase, states, freezes)
            if self.tally.bad == bad:
                shutil.rmtree(rig.folder)
            if self.options.progress:
                about = f"{rig.source['sync_mode']}, {rig.runner}, {rig.output.suffix}, states {states}"
                print(f"{about}: {self.tally.line()}", file=sys.stderr, flush=True)
        raise AssertionError

    def _pipeline(self, name: str) -> tuple[Rig, list[str | None]]:
        """A pipeline, and its states."""
        mode = self.options.mode or self.random.choice([*MODES, STREAMED])
        runner = STREAMED if mode == STREAMED else self.options.runner or self.random.choice(RUNNERS)
        rig = self._rig(name, mode, self.random.choice(FORMATS), runner)
        rig.destination |= self.random.choice(BUFFERS)
        rig.dead_letters = self.random.random() < DEAD_LETTERS
        rig.micro_batch = self.random.choice(MICRO_BATCHES)
        states: list[str | None] = ["state"]
        if mode != STREAMED and self.random.random() < STRANGERS:
            in_memory = mode == "full_refresh" and runner != "process" and self.random.random() < 0.5
            states = [None] if in_memory else ["state", "another"]
        return rig, states

    def _typical(self) -> float:
        """Seconds of an undisturbed run; the first one also compiles."""
        for number in range(2):
            rig = self._rig(f"typical{number}", MODES[0], FORMATS[0], self.options.runner or RUNNERS[0])
            began = time.monotonic()
            if rig.run(timeout=self.options.patience) != 0:
                raise SystemExit(rig.log())
        return time.monotonic() - began

    def _rig(self, name: str, mode: str, format: str, runner: str) -> Rig:
        folder = self.folder / name
        folder.mkdir()
        pages = self.options.pages
        keys = {"max_iterations": PHASES * pages + 2} if mode == STREAMED else {}
        workers = self.options.workers if runner != STREAMED else 1
        if workers > 1:
            keys["partitions"] = 3 * workers
        rig = Rig(folder, mode, format, runner, pages=pages, delay=self.options.delay, **keys)
        rig.lease_ttl, rig.producers = LEASE_TTL, workers
        return rig

    def _phase(self, rig: Rig, phase: int, states: list[str | None], freezes: bool) -> None:
        """One version of the source: a storm, and a run that has to load it."""
        if phase:
            rig.change()
        (rig.folder / "trace.txt").unlink(missing_ok=True)
        old = rig.rows()
        storm = Storm(
            rig=rig,
            chance=self.random,
            typical=self.typical,
            patience=self.options.patience,
            states=states,
            look=lambda: self._is_whole(rig, old),
            complain=lambda text: self._stuck(rig, text),
            freezes=freezes,
        )
        left = self.options.n - self.tally.events
        good = storm.blow(min(left, self.random.randint(1, MOST_EVENTS)))
        self.tally.counts += storm.counts
        if good and self._finish(rig, states):
            self._check(rig, states)
            if not freezes and states == ["state"]:
                self.tally.pages.read(rig.folder / "trace.txt")

    def _finish(self, rig: Rig, states: list[str | None]) -> bool:
        """Whether an undisturbed run loads everything."""
        rig.state = states[0]
        try:
            code = rig.run(timeout=self.options.patience)
            if code == 1 and len(states) > 1 and "run with --fresh" in rig.log()[-2_000:].lower():
                code = rig.run(None, "--fresh", timeout=self.options.patience)
        except subprocess.TimeoutExpired:
            self._stuck(rig, "the last run did not end")
            return False
        if code != 0:
            self._stuck(rig, f"exit {code} of the last run, jobs {rig.statuses()}")
        return code == 0

    def _is_whole(self, rig: Rig, old: list[Row] | None) -> bool:
        """Check the output that a reader sees now."""
        try:
            rows = seen_of_stream(rig) if rig.is_stream else rig.rows()
        except Exception as error:
            self.tally.complain(rig, f"the output cannot be read: {type(error).__name__}: {error}")
            self.tally.half += 1
            return False
        if rig.is_stream:
            twice = (Counter(rows) - Counter(rig.expected())).total()
            self.tally.duplicated += twice
            if twice:
                self.tally.complain(rig, f"{twice} records are duplicated while runs are active")
            return not twice
        if rows not in rig.allowed(old) and not self._differ(rig, rows or []):
            self.tally.half += 1
        return True

    def _differ(self, rig: Rig, rows: list[Row]) -> bool:
        """Count missing and duplicated records in a published output."""
        found, wanted = Counter(rows), Counter(rig.expected())
        lost, twice = (wanted - found).total(), (found - wanted).total()
        self.tally.lost += lost
        self.tally.duplicated += twice
        self.tally.complain(rig, f"{lost} records are missing, {twice} are there too often")
        return lost + twice > 0

    def _check(self, rig: Rig, states: list[str | None]) -> None:
        rows = rig.rows()
        if rows != rig.expected():
            self._differ(rig, rows or [])
        waiting = [path for state in states[1:] if state for path in rig.spools_of_jobs_to_resume(state)]
        if left := set(rig.leftovers()) - set(waiting):
            self._stuck(rig, f"left behind: {sorted(left)}")
        if not rig.is_stream and len(states) == 1 and set(rig.statuses()) - {"succeeded"}:
            self._stuck(rig, f"jobs {rig.statuses()}")
        if "Traceback" in rig.log():
            self._stuck(rig, "a traceback")

    def _stuck(self, rig: Rig, text: str) -> None:
        self.tally.stuck += 1
        self.tally.complain(rig, text)


def seen_of_stream(rig: Rig) -> list[Row]:
    """The rows of a stream that may be written to this moment: a line without an end does not count yet."""
    paths = [rig.output, *([rig.folder / "out.dead_letters.json"] if rig.dead_letters else [])]
    return [row for path in paths if path.exists() for row in rows_of(path, growing=True)]


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill and freeze runs at random; count what is lost, twice or stuck.")
    parser.add_argument("--n", type=int, default=200, help="kills and freezes")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--runner", choices=RUNNERS, help="any, when not given")
    parser.add_argument("--mode", choices=[*MODES, STREAMED], help="sync mode; any, when not given")
    parser.add_argument("--workers", type=int, default=1, help="producers that fetch partitions at once")
    parser.add_argument("--progress", action="store_true", help="a line for each pipeline")
    parser.add_argument("--pages", type=int, default=30)
    parser.add_argument("--delay", type=float, default=0.1, help="seconds per page")
    parser.add_argument("--patience", type=float, default=120, help="seconds after which a run counts as stuck")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    os.environ.update(bytecode_kept_in(folder / "bytecode"))
    tally = Chaos(options, folder).run()
    print(f"chaos, {options.mode or 'any mode'}, {options.runner or 'any runner'}, seed {options.seed}: {tally.line()}")
    if tally.bad:
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
