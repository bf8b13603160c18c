"""Commands that share a job, in one process and with one clock, which moves when a command acts.

Each command is a real runner on threads of its own, but only one command acts at a time: before and after everything
that outlives it, a call of the state or of the destination, chance decides who is next. There a command may be killed,
frozen or asked to stop. A command that is killed changes nothing any more. Heartbeats come when a command acts.
"""

import threading
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from engine.pipeline.world import Crash

from bizon.common.errors.errors import JobLockedError

if TYPE_CHECKING:
    from bizon.engine.runner.models import RunnerStatus
    from bizon.engine.runner.runner import AbstractRunner

TTL = 20.0  # seconds of this clock; an act takes one
BEGINNING = datetime(2026, 1, 1)
MOST_ACTS = 20_000
BOUND = 60  # seconds; reached only when something hangs
PRODUCING = "bizon-run_producer"
"""The thread of a command that touches nothing but its own queue."""
_command: ContextVar["Command | None"] = ContextVar("command", default=None)


class Event(NamedTuple):
    """Something that happens to the command that acts. ``at``: the number of the act; ``seconds``: of a freeze."""

    at: int
    kind: str
    seconds: int


@dataclass
class Command:
    """A command: its runner, and when it may act."""

    runner: "AbstractRunner"
    go: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    back: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    heartbeats: "list[ManualTicker]" = field(default_factory=list)
    is_dead: bool = False
    is_beating: bool = False
    was_stopped: bool = False
    asleep_until: float = 0.0
    beaten_at: float = 0.0
    status: "RunnerStatus | None" = None
    has_ended: bool = False
    is_kept_out: bool = False

    def start(self) -> None:
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        _command.set(self)
        self.go.acquire()
        try:
            self.status = self.runner.run()
        except Crash:
            pass
        except JobLockedError:
            self.is_kept_out = True
        finally:
            self.has_ended = True
            self.back.release()


class ManualTicker:
    """Stands in for the ticker: it acts when its command does."""

    def __init__(self, act: Callable[[], None], _seconds: float, *, name: str) -> None:
        self.act, self._command = act, _command.get()

    def stop(self) -> None:
        if self._command is not None and self in self._command.heartbeats:
            self._command.heartbeats.remove(self)

    def __enter__(self) -> "ManualTicker":
        if self._command is not None:
            self._command.heartbeats.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class OneClock:
    """Decides who acts. ``events``: what is to happen."""

    def __init__(self, chance: Random, events: Sequence[Event]) -> None:
        self._chance = chance
        self._events = sorted(events)
        self.now = 0.0
        self.acts = 0
        self.broken: list[str] = []
        """Invariants that did not hold: an assertion on a thread of a command is a failure of its run."""

    def time(self, _connection: object = None) -> datetime:
        return BEGINNING + timedelta(seconds=self.now)

    def run(self, commands: Sequence[Command]) -> None:
        """Until all of them have ended."""
        for command in commands:
            command.asleep_until = command.beaten_at = self.now
            command.start()
        while left := [each for each in commands if not each.has_ended]:
            assert self.acts < MOST_ACTS, "stuck"
            awake = [each for each in left if each.asleep_until <= self.now]
            if not awake:
                self.now = min(each.asleep_until for each in left)
                continue
            self._let_act(self._chance.choice(awake))

    def step(self) -> None:
        """The command on this thread may be interrupted here."""
        command = _command.get()
        if command is None or command.is_beating:
            return
        if command.is_dead:
            raise Crash
        if threading.current_thread().name.startswith(PRODUCING):
            return
        command.back.release()
        command.go.acquire()
        if command.is_dead:
            raise Crash
        self._beat(command)

    def check(self, holds: bool, what: str) -> None:
        if not holds:
            self.broken.append(what)

    def _let_act(self, command: Command) -> None:
        self.now += 1
        self.acts += 1
        while self._events and self._events[0].at <= self.acts:
            self._happen(self._events.pop(0), command)
        if command.asleep_until <= self.now:
            command.go.release()
            assert command.back.acquire(timeout=BOUND), "a command does not come back"

    def _happen(self, event: Event, command: Command) -> None:
        if event.kind == "kill":
            command.is_dead = True
        elif event.kind == "freeze":
            command.asleep_until = self.now + event.seconds
        else:
            command.was_stopped = True
            command.runner.stop()

    def _beat(self, command: Command) -> None:
        """Now and then, and not always before the first act after a freeze."""
        if self.now - command.beaten_at < TTL / 4 or self._chance.random() < 0.3:
            return
        command.beaten_at, command.is_beating = self.now, True
        try:
            for each in [*command.heartbeats]:
                each.act()
        finally:
            command.is_beating = False


class VirtualEvent(threading.Event):
    """A stop flag; waiting for it lets others act."""

    clock: OneClock

    def wait(self, timeout: float | None = None) -> bool:
        if timeout is not None and _command.get() is not None:
            self.clock.step()
            return self.is_set()
        return super().wait(timeout)
