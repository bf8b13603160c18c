"""One storm of the chaos loop: runs of one pipeline that are killed, frozen and thawed at random moments."""

import random
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from e2e.crash.crash_kit import Rig, freeze, kill_group, thaw

SHORTEST = 0.3  # seconds before something happens to a run
LOOK_EVERY = 0.05
MOST_FROZEN = 3
CODES = {0, 1, 3}  # a run may fail, or be refused, because another one holds the output or has taken over


@dataclass(eq=False)
class Run:
    """A run that has not ended. ``contested``: another one has not ended either since it began."""

    child: "subprocess.Popen[str]"
    contested: bool
    state: str | None


@dataclass
class Storm:
    """``typical``: seconds of an undisturbed run. ``states``: each run has one of them; only runs
    of the same one know of each other. ``look``: called after each event, False ends the storm. ``complain``:
    called about runs that did not end as they should."""

    rig: Rig
    chance: random.Random
    typical: float
    patience: float
    states: list[str | None]
    look: Callable[[], bool]
    complain: Callable[[str], None]
    freezes: bool = True
    counts: Counter[str] = field(default_factory=Counter)
    awake: list[Run] = field(default_factory=list)
    frozen: list[Run] = field(default_factory=list)

    def blow(self, events: int) -> bool:
        """Kill and freeze at most this many times; in the end each run has ended by itself or was killed. False when
        something was wrong."""
        try:
            good = self._blow(events)
            return self._calm_down() and good
        finally:
            for run in (*self.awake, *self.frozen):
                kill_group(run.child)

    def _blow(self, events: int) -> bool:
        while self.counts["kills"] + self.counts["freezes"] < events:
            if not self.awake:
                if self.counts["successes"] and not self.frozen:
                    return True
                self._start()
            if not self._wait(self.chance.uniform(SHORTEST, self.typical)):
                return False
            self._strike()
            if not self.look():
                return False
        return True

    def _start(self) -> None:
        self.rig.state = self.chance.choice(self.states)
        run = Run(self.rig.start(), bool(self.frozen), self.rig.state)
        self.counts["resumes"] += self.counts["runs"] > 0
        self.counts["runs"] += 1
        self.awake.append(run)

    def _strike(self) -> None:
        """Disturb one of the runs, if there is one."""
        weights = {
            self._kill: 1.0 if self.awake else 0.0,
            self._freeze: 2.0 if self.freezes and self.awake and len(self.frozen) < MOST_FROZEN else 0.0,
            self._thaw: 1.0 if self.frozen else 0.0,
            self._kill_frozen: 0.1 if self.frozen else 0.0,
        }
        if any(weights.values()):
            (event,) = self.chance.choices(list(weights), list(weights.values()))
            event()

    def _kill(self) -> None:
        run = self.chance.choice(self.awake)
        kill_group(run.child)
        self.awake.remove(run)
        self.counts["kills"] += 1
        with (self.rig.folder / "trace.txt").open("a") as trace:
            trace.write(f"killed 0 {time.time():.3f}\n")

    def _kill_frozen(self) -> None:
        run = self.chance.choice(self.frozen)
        kill_group(run.child)
        self.frozen.remove(run)
        self.counts["kills"] += 1

    def _freeze(self) -> None:
        run = self.chance.choice(self.awake)
        freeze(run.child)
        run.contested = True
        self.awake.remove(run)
        self.frozen.append(run)
        self.counts["freezes"] += 1
        if self.chance.random() < 0.8:  # else the next run is refused, by the lease
            time.sleep(self.rig.lease_ttl + SHORTEST)

    def _thaw(self) -> None:
        run = self.chance.choice(self.frozen)
        self.frozen.remove(run)
        for other in self.awake:
            other.contested = True
        self.awake.append(run)
        thaw(run.child)
        self.counts["thaws"] += 1

    def _wait(self, seconds: float) -> bool:
        """Wait this long, or until no run is awake. False when one did not end as it should."""
        until = time.monotonic() + seconds
        while self.awake and time.monotonic() < until:
            time.sleep(LOOK_EVERY)
            for run in [run for run in self.awake if run.child.poll() is not None]:
                self.awake.remove(run)
                if not self._ended(run):
                    return False
        return True

    def _ended(self, run: Run) -> bool:
        code = run.child.returncode
        if code == 0:
            self.counts["successes"] += 1
        elif code not in CODES or not (run.contested or len(self.states) > 1):
            self.complain(f"exit {code} of a run {'among others' if run.contested else 'that was alone'}")
            return False
        elif run.contested:
            self.counts["overtaken"] += 1
        return True

    def _calm_down(self) -> bool:
        """Thaw frozen runs, now or while another run is active; all of them end."""
        if self.frozen and not self.awake and self.chance.random() < 0.5:
            self._start()
        while self.frozen:
            if not self._wait(self.chance.uniform(0, self.typical)):
                return False
            self._thaw()
        if not self._wait(self.patience):
            return False
        if self.awake:
            self.complain(f"{len(self.awake)} runs did not end within {self.patience:.0f} s")
        return not self.awake
