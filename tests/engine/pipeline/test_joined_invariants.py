"""The invariants of a job that several commands share: random parts, kills, freezes, stops and errors, on one clock.

The commands are real runners, with their leases, parts and publications; the state is a real one, in memory.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

import matrices
import pytest
from engine.pipeline.joined_world import JoinedDestination, SharedState, World
from engine.pipeline.one_clock import TTL, Command, Event, ManualTicker, OneClock, VirtualEvent
from engine.pipeline.world import CountingBuffer, has_succeeded
from fakes import EmptySource, memory_backend
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from bizon.destination.buffer import DestinationBuffer
from bizon.engine.backend.adapters.sqlalchemy import lease_table, partition_table
from bizon.engine.backend.adapters.sqlalchemy.backend import SQLAlchemyBackend
from bizon.engine.engine import load_config_dict
from bizon.engine.runner import lease, writing
from bizon.engine.runner.joining import runner as joining
from bizon.engine.runner.joining import slots
from bizon.engine.runner.joining.runner import JoinedRunner
from bizon.source.models import SourceIteration, SourceRecord

CONFIG = {
    "name": "pipe",
    "source": {"name": "scripted", "stream": "items"},
    "destination": {"name": "logger"},
    "engine": {
        "queue": {"type": "python_queue", "config": {"consumer": {"poll_interval": 0.05}}},
        "runner": {"config": {"lease_ttl": TTL}},
    },
}
UNSHRUNK = [Phase.reuse, Phase.generate]  # to shrink an example takes minutes
KINDS = ["kill", "freeze", "freeze", "stop"]


def source_of(script: list[list[list[int]]], broken: set[tuple[int, int]]) -> type[EmptySource]:
    """A source with a part for each list of pages. ``broken``: the pages that fail once."""

    class Scripted(EmptySource):
        def get_partitions(self) -> list[dict[str, Any]]:
            return [{"part": number} for number in range(len(script))] if len(script) > 1 else []

        def get(self, pagination: dict[str, Any] | None = None) -> SourceIteration:
            part, page = (self.partition or {"part": 0})["part"], (pagination or {}).get("page", 0)
            if (part, page) in broken:
                broken.remove((part, page))
                raise RuntimeError("the API is down")
            records = [SourceRecord(id=id_, data={"n": id_}) for id_ in script[part][page]]
            more = {"page": page + 1} if page + 1 < len(script[part]) else {}
            return SourceIteration(records=records, next_pagination=more)

    return Scripted


@contextmanager
def on_one_clock(world: World, pages_per_batch: int) -> Iterator[None]:
    """Within: leases expire by the clock of the world, heartbeats come when a command acts, rows go to the world."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (lease_table, partition_table):
            patch.setattr(module, "database_time", world.clock.time)
        for module in (lease, slots):
            patch.setattr(module, "Ticker", ManualTicker)
        patch.setattr(VirtualEvent, "clock", world.clock, raising=False)
        patch.setattr(joining, "Event", VirtualEvent)
        patch.setattr(writing, "build_destination", lambda *parts: JoinedDestination(world, *parts))
        patch.setattr(DestinationBuffer, "of_pipeline", lambda _config: CountingBuffer(pages_per_batch))
        yield


def command(state: SharedState, source: type[EmptySource]) -> Command:
    loaded = load_config_dict(CONFIG, source)
    runner = JoinedRunner(loaded.config, loaded.secrets)
    runner.join_id, runner.open_state = "once", lambda: state  # type: ignore[assignment, return-value]
    runner._stop = runner._stopping = VirtualEvent()
    return Command(runner)


@settings(max_examples=matrices.examples(120), deadline=None, phases=UNSHRUNK)
@given(
    sizes=st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=3), min_size=1, max_size=4),
    count=st.integers(1, 3),
    events=st.lists(
        st.builds(Event, st.integers(1, 400), st.sampled_from(KINDS), st.integers(1, int(3 * TTL))), max_size=6
    ),
    failing=st.sets(st.tuples(st.integers(0, 3), st.integers(0, 2)), max_size=2),
    pages_per_batch=st.integers(1, 3),
    seed=st.integers(0, 1_000),
)
def test_commands_publish_every_row_of_their_job_once_whatever_happens_to_them(
    sizes: list[list[int]],
    count: int,
    events: list[Event],
    failing: set[tuple[int, int]],
    pages_per_batch: int,
    seed: int,
) -> None:
    ids = iter(range(100))
    script = [[[next(ids) for _ in range(size)] for size in pages] for pages in sizes]
    expected = Counter(str(id_) for pages in script for page in pages for id_ in page)
    broken = {(part, page) for part, page in failing if part < len(sizes) and page < len(sizes[part])}
    errors = len(broken)
    clock = OneClock(Random(seed), events)
    backend, world = memory_backend(), World(clock, expected)
    state, source = SharedState(backend, world), source_of(script, broken)
    failed = 0
    with on_one_clock(world, pages_per_batch):
        for number in range(len(events) + errors + 2):
            commands = [command(state, source) for _ in range(1 if number else count)]
            clock.run(commands)
            failed += sum(is_failed(each) for each in commands)
            assert clock.broken == []
            if has_succeeded(backend):
                break
            clock.now += 2 * TTL  # what a dead command held expires
        else:
            raise AssertionError("stuck")
    assert Counter(world.table) == expected
    assert world.publications == 1
    assert world.tables_seen <= {("old",), tuple(world.table)}, "readers see the old table or the new one"
    assert failed <= errors, "only an error of the source fails a command"
    assert len(jobs_of(backend)) == 1


def is_failed(command: Command) -> bool:
    """Whether a command that lived to its end has failed."""
    if command.status is None:
        assert command.is_dead or command.is_kept_out
        return False
    return not command.is_dead and not command.status.is_success and not command.status.interrupted


def jobs_of(backend: SQLAlchemyBackend) -> list[Any]:
    return backend._transactions.run(lambda connection: connection.exec_driver_sql("SELECT id FROM stream_jobs").all())  # type: ignore[return-value]
