"""Kills runs at random until nothing can be said to be luck: ``python tests/e2e/crash/chaos.py --n 200 --seed 1``.

Pipeline after pipeline, of any sync mode, format and buffer, loads a slow source into a file. Each is run, killed by
SIGKILL after a random time, and run again until it succeeds; then its source changes, and the same again, until there
were ``--n`` kills. After each kill the published output must be the old one or the new one, and at the end each record
must be there once.

One line is printed:

* ``lost``, ``duplicated``: records; ``half``: outputs that were neither old nor new, or could not be parsed;
  ``stuck``: runs that did not end in time, failed by themselves, or left a job or files behind. Any of them: exit 1.
* ``fetched again``: pages that had been served and were asked for once more, and how long before the kill the oldest
  of them had been served; a page in flight is counted apart.
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
from e2e.crash.crash_kit import FORMATS, MODES, Rig

BUFFERS = [{"buffer_size": 0}, {"buffer_size": 50, "buffer_flush_timeout": 1}, {"buffer_size": 50}]
SHORTEST = 0.3  # seconds before a kill
DEAD_LETTERS = 0.3  # share of the pipelines in which some records cannot be delivered
KILLS_PER_PHASE = 12  # then it is let through
PHASES = 2


@dataclass
class Tally:
    """What is printed."""

    kills: int = 0
    resumes: int = 0
    lost: int = 0
    duplicated: int = 0
    half: int = 0
    stuck: int = 0
    again: int = 0
    in_flight: int = 0
    oldest: float = 0
    complaints: list[str] = field(default_factory=list)

    @property
    def bad(self) -> int:
        return self.lost + self.duplicated + self.half + self.stuck

    def complain(self, rig: Rig, text: str) -> None:
        self.complaints.append(f"{rig.folder} ({rig.source['sync_mode']}, {rig.destination}): {text}")

    def line(self) -> str:
        return (
            f"{self.kills} kills, {self.resumes} resumes, {self.lost} lost, {self.duplicated} duplicated, "
            f"{self.half} half, {self.stuck} stuck; {self.again} pages fetched again, the oldest served "
            f"{self.oldest:.2f} s before the kill, and {self.in_flight} in flight"
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
            if self.tally.kills >= self.options.n or self.tally.stuck:
                return self.tally
            bad = self.tally.bad
            rig = self._rig(f"round{number}", self.random.choice(MODES), self.random.choice(FORMATS))
            rig.destination |= self.random.choice(BUFFERS)
            rig.dead_letters = self.random.random() < DEAD_LETTERS
            self._round(rig)
            if self.tally.bad == bad:
                shutil.rmtree(rig.folder)
        raise AssertionError

    def _typical(self) -> float:
        """Seconds of a run that nobody kills; the first one also compiles."""
        for number in range(2):
            rig = self._rig(f"typical{number}", *MODES[:1], *FORMATS[:1])
            began = time.monotonic()
            if rig.run(timeout=self.options.patience) != 0:
                raise SystemExit(rig.log())
        return time.monotonic() - began

    def _rig(self, name: str, mode: str, format: str) -> Rig:
        folder = self.folder / name
        folder.mkdir()
        return Rig(folder, mode, format, self.options.runner, pages=self.options.pages, delay=self.options.delay)

    def _round(self, rig: Rig) -> None:
        for phase in range(PHASES):
            if phase:
                rig.change()
            (rig.folder / "trace.txt").unlink(missing_ok=True)
            self._phase(rig, phase)
            self._count_pages(rig)
            if self.tally.stuck:
                return

    def _phase(self, rig: Rig, phase: int) -> None:
        """One version of the source, until it is loaded."""
        old = rig.rows()
        for kills in itertools.count():
            more = kills < KILLS_PER_PHASE and self.tally.kills < self.options.n
            delay = self.random.uniform(SHORTEST, self.typical) if more else self.options.patience
            self.tally.resumes += kills > 0
            try:
                killed, code = rig.run_and_kill(delay)
            except subprocess.TimeoutExpired:
                killed, code = True, None
            if killed and more:
                self.tally.kills += 1
            if not self._is_whole(rig, old):
                return
            done = rig.statuses() == ["succeeded"] * (phase + 1)
            if killed and not more:
                return self._stuck(rig, f"did not end within {delay:.0f} s")
            if not killed and (code != 0 or not done):
                return self._stuck(rig, f"exit {code}, jobs {rig.statuses()}")
            if done:
                return self._check(rig, killed)
        raise AssertionError

    def _is_whole(self, rig: Rig, old: list[tuple[int, int]] | None) -> bool:
        try:
            rows = rig.rows()
        except Exception as error:
            self.tally.complain(rig, f"the output cannot be read: {error}")
            self.tally.half += 1
            return False
        if rows not in rig.allowed(old) and not self._differ(rig, rows or []):
            self.tally.half += 1
        return True

    def _differ(self, rig: Rig, rows: list[tuple[int, int]]) -> bool:
        """Count what is missing and what is there too often in a published output."""
        found, wanted = Counter(rows), Counter(rig.expected())
        lost, twice = (wanted - found).total(), (found - wanted).total()
        self.tally.lost += lost
        self.tally.duplicated += twice
        self.tally.complain(rig, f"{lost} records are missing, {twice} are there too often")
        return lost + twice > 0

    def _check(self, rig: Rig, killed: bool) -> None:
        rows = rig.rows()
        if rows != rig.expected():
            self._differ(rig, rows or [])
        if not killed and rig.leftovers():
            self._stuck(rig, f"left behind: {rig.leftovers()}")

    def _stuck(self, rig: Rig, text: str) -> None:
        self.tally.stuck += 1
        self.tally.complain(rig, text)

    def _count_pages(self, rig: Rig) -> None:
        """Read the trace: what was served in a run that was killed, and asked for in a later one."""
        served: dict[str, float] = {}
        lost_at: dict[str, float] = {}
        in_flight: str | None = None
        for line in (rig.folder / "trace.txt").read_text().splitlines():
            what, page, at = line.split()
            if what == "killed":
                lost_at |= {known: float(at) - when for known, when in served.items() if known not in lost_at}
                self.tally.in_flight += in_flight is not None
                in_flight = None
            elif what == "asked":
                in_flight = page
                if served.pop(page, None) is not None:  # until it is served again, it is in flight
                    self.tally.again += 1
                    self.tally.oldest = max(self.tally.oldest, lost_at.pop(page, 0))
            else:
                in_flight = None
                served[page] = float(at)
                lost_at.pop(page, None)


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill runs at random; count what is lost, twice or stuck.")
    parser.add_argument("--n", type=int, default=200, help="kills")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--runner", choices=["thread", "process", "stream"], default="thread")
    parser.add_argument("--pages", type=int, default=30)
    parser.add_argument("--delay", type=float, default=0.1, help="seconds per page")
    parser.add_argument("--patience", type=float, default=120, help="seconds after which a run counts as stuck")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    os.environ.update(bytecode_kept_in(folder / "bytecode"))
    tally = Chaos(options, folder).run()
    for complaint in tally.complaints:
        print(complaint, file=sys.stderr)
    print(f"chaos, {options.runner}, seed {options.seed}: {tally.line()}")
    if tally.bad:
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
