"""Kills and freezes commands that share a job, at random:
``python tests/e2e/crash/joined_chaos.py --n 200 --workers 4 --seed 1``, or ``make chaos N=200 WORKERS=4 JOIN=1``. With
``--postgres URL``, or ``STATE=URL``, the state is in a schema of that database instead of SQLite. With ``--hosts``, or
``HOSTS=1``, each command is on a host of its own (``hosts.py``), and the state is in a Postgres that is started for it.
With ``--runner ray``, or ``RUNNER=ray``, the commands are drivers of one Ray cluster, and need the state in Postgres.

Job after job, in any runner and format, with and without dead letters, is shared by that many commands. At random
moments one of them dies by SIGKILL, and another one starts; or it is frozen by SIGSTOP for longer than its lease, and
wakes up while others have its part, or have published; or its host is cut off for as long. The output must be missing
or whole at any time. In the end every command that was not killed has to succeed, one job has succeeded, each record is
there once, and nothing is left behind.
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
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[2]))
from commands import bytecode_kept_in
from e2e.crash.crash_kit import FORMATS, Rig, freeze, kill_group, thaw
from e2e.crash.hosts import Host, network
from e2e.crash.test_joined_hosts import OnHosts
from e2e.crash.test_joined_postgres import StateInPostgres
from e2e.ray_nodes import cluster
from postgres import Place, place_at, private_server

LEASE_TTL = 1.0  # seconds
AWAY_FOR = (0.5, 2.5)  # seconds after the lease has expired
BETWEEN = (0.1, 0.8)  # seconds
DEAD_LETTERS = 0.3  # share of the jobs in which some records cannot be delivered
MOST_EVENTS = 12  # of a job


class Job:
    """A job, and the commands that share it, each on one of the hosts if there are any."""

    def __init__(
        self, rig: Rig, chance: random.Random, workers: int, patience: float, hosts: Sequence[Host] = ()
    ) -> None:
        self.rig, self.chance, self.patience = rig, chance, patience
        self.awake: list[subprocess.Popen[str]] = []
        self.away: dict[subprocess.Popen[str], tuple[float, Callable[[], None]]] = {}
        """Frozen or cut off: until when, and how they come back."""
        self.host_of: dict[subprocess.Popen[str], Host] = {}
        self.was_cut: set[subprocess.Popen[str]] = set()
        self.ended: list[subprocess.Popen[str]] = []
        self.counts: Counter[str] = Counter()
        for number in range(workers):
            self._start(hosts[number] if hosts else None)

    def run(self, events: int) -> str | None:
        """Disturb the commands, at most ``events`` times, and let them end. Returns a complaint, or None."""
        try:
            return self._disturb(events) or self._calm_down() or self._result()
        finally:
            for child in (*self.awake, *self.away):
                kill_group(child)
            for _until, come_back in self.away.values():
                come_back()

    def _start(self, host: Host | None) -> None:
        if host is not None and isinstance(self.rig, OnHosts):
            self.rig.host = host
        child = self.rig.start(None, "--join", "--join-id", "chaos")
        self.awake.append(child)
        if host is not None:
            self.host_of[child] = host

    def _disturb(self, events: int) -> str | None:
        while sum(self.counts.values()) < events and (self.awake or self.away):
            time.sleep(self.chance.uniform(*BETWEEN))
            self._look_after()
            if not self.awake:
                continue
            child = self.chance.choice(self.awake)
            self.awake.remove(child)
            event = self.chance.choice(["kills", "freezes", *(["cuts"] if self.host_of else [])])
            self.counts[event] += 1
            if event == "kills":
                kill_group(child)
                self._start(self.host_of.get(child))
            else:
                self._send_away(child, event)
            if self.rig.rows() not in self.rig.allowed(None):
                return "the output is neither missing nor whole"
        return None

    def _send_away(self, child: "subprocess.Popen[str]", event: str) -> None:
        until = time.monotonic() + LEASE_TTL + self.chance.uniform(*AWAY_FOR)
        if event == "freezes":
            freeze(child)
            self.away[child] = until, partial(thaw, child)
        else:
            host = self.host_of[child]
            host.cut_off()
            self.was_cut.add(child)
            self.away[child] = until, host.let_back

    def _look_after(self) -> None:
        """Bring the children back whose time is over, and set those aside that have ended."""
        for child, (until, come_back) in list(self.away.items()):
            if time.monotonic() >= until:
                del self.away[child]
                come_back()
                self.awake.append(child)
        self.ended += [child for child in self.awake if child.poll() is not None]
        self.awake = [child for child in self.awake if child.poll() is None]

    def _calm_down(self) -> str | None:
        until = time.monotonic() + self.patience
        while self.awake or self.away:
            if time.monotonic() > until:
                return f"{len(self.awake)} commands do not end"
            time.sleep(0.05)
            self._look_after()
        early = [child for child in self.was_cut if child.returncode == 1]  # it has not reached the state, and says so
        codes = Counter(child.returncode for child in self.ended if child not in early)
        return None if set(codes) <= {0} else f"exit codes {dict(codes)}"

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


def rig_of(folder: Path, place: Place | None, kind: type[StateInPostgres], *how: str, **source: Any) -> Rig:
    """``place``: of the state; None = SQLite."""
    if place is None:
        return Rig(folder, "full_refresh", *how, **source)
    rig = kind(folder, "full_refresh", *how, **source)
    rig.place = place.with_own_schema()
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
    parser.add_argument("--hosts", action="store_true", help="each command on a host of its own; needs root")
    parser.add_argument("--runner", choices=["thread", "process", "ray"], help="instead of thread or process")
    options = parser.parse_args()
    if options.hosts and (options.postgres or options.runner == "ray"):
        parser.error("--hosts starts a Postgres of its own, and no Ray cluster: leave --postgres and --runner ray out")
    if options.runner == "ray" and not options.postgres:
        parser.error("--runner ray needs --postgres")
    with ExitStack() as servers:
        return chaos(options, servers)


def chaos(options: argparse.Namespace, servers: ExitStack) -> int:
    folder, chance = Path(tempfile.mkdtemp(prefix="chaos-")), random.Random(options.seed)
    os.environ.update(bytecode_kept_in(folder / "bytecode"))
    place = None if options.postgres is None else place_at(options.postgres)
    hosts: Sequence[Host] = ()
    if options.hosts:
        made = servers.enter_context(network(options.workers))
        place, hosts = servers.enter_context(private_server("hosts must reach it", made.address)).place, made.hosts
    nodes = servers.enter_context(cluster(cores=options.workers)) if options.runner == "ray" else None
    counts: Counter[str] = Counter()
    while sum(counts.values()) - counts["jobs"] < options.n:
        own = folder / f"job{counts['jobs']}"
        own.mkdir()
        parts = {"partitions": 3 * options.workers, "pages": options.pages, "delay": options.delay}
        runner = options.runner or chance.choice(["thread", "process"])
        kind = OnHosts if hosts else StateInPostgres
        rig = rig_of(own, place, kind, chance.choice(FORMATS), runner, **parts)
        rig.cluster = None if nodes is None else nodes.address
        rig.lease_ttl, rig.producers, rig.dead_letters = (
            LEASE_TTL,
            1 if runner == "ray" else chance.choice([1, 2]),
            chance.random() < DEAD_LETTERS,
        )
        job = Job(rig, chance, options.workers, options.patience, hosts)
        left = options.n - (sum(counts.values()) - counts["jobs"])
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
