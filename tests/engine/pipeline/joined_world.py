"""Staging and the table of a joined job, which outlive its commands, and the invariants that must hold there."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from engine.pipeline.one_clock import TTL, OneClock

from bizon.common.errors.errors import FinalizeError, OvertakenError
from bizon.destination.config import AbstractDestinationDetailsConfig
from bizon.destination.destination import AbstractDestination
from bizon.engine.backend.models import JobStatus

if TYPE_CHECKING:
    import polars as pl

    from bizon.destination.models import CommittedBatch, ResumePoint
    from bizon.engine.backend.adapters.sqlalchemy.backend import SQLAlchemyBackend
    from bizon.engine.backend.models import CommitRecord
    from bizon.engine.partitions import TakenPart
    from bizon.engine.runner.models import RunContext


class World:
    """Staging and the table, and what was seen of them. ``expected``: the rows of the job."""

    def __init__(self, clock: OneClock, expected: Counter[str]) -> None:
        self.clock = clock
        self.expected = expected
        self.staged: dict[int, tuple[int, list[str]]] = {}
        self.written = 0
        self.claims: dict[int | None, int] = {}
        self.table: list[str] = ["old"]
        self.published_by: str | None = None
        self.publications = 0
        self.tables_seen: set[tuple[str, ...]] = set()

    def step(self) -> None:
        self.tables_seen.add(tuple(self.table))
        self.clock.step()


class JoinedDestination(AbstractDestination):
    """Keeps no more than the contract asks for: a worker that was superseded still stages rows, and a publisher that
    was superseded publishes nothing."""

    def __init__(self, world: World, context: "RunContext", backend: Any, callback: Any, monitor: Any) -> None:
        config = AbstractDestinationDetailsConfig(destination_id="table")
        super().__init__(context.sync_metadata, config, backend, callback, monitor)
        self.world = world
        self.resume: ResumePoint
        self._batches: list[list[str]] = []
        self._last = 0

    def check_connection(self) -> bool:
        return True

    def prepare(self, resume: "ResumePoint") -> None:
        self.world.step()
        self.resume, part = resume, resume.partition
        self._check_claim(self.world.claims.get(part, 0))
        self.world.claims[part] = resume.epoch
        if part is not None:
            kept = {batch.receipt["id"] for batch in resume.committed if batch.receipt is not None}
            staged = self.world.staged
            self.world.clock.check(kept <= staged.keys(), "I8: what is committed is staged")
            self.world.staged = {n: found for n, found in staged.items() if found[0] != part or n in kept}
        self.world.step()

    def write_records(self, df_destination_records: "pl.DataFrame") -> tuple[bool, str | None]:
        self.world.step()
        self.world.written += 1
        self._last = self.world.written
        assert self.resume.partition is not None
        rows = df_destination_records["source_record_id"].to_list()
        self.world.staged[self._last] = self.resume.partition, rows
        self.world.step()
        return True, None

    def receipt(self) -> Mapping[str, Any]:
        return {"id": self._last}

    def verify(self, committed: "Sequence[CommittedBatch]") -> None:
        self.world.step()
        if self.world.published_by == self.resume.job_id:
            return
        found = [self.world.staged.get(batch.receipt["id"]) for batch in committed if batch.receipt is not None]
        self._batches = [staged[1] for staged in found if staged is not None]
        if [*map(len, self._batches)] != [batch.rows for batch in committed if batch.receipt is not None]:
            raise FinalizeError("staging has lost a batch")

    def finalize(self) -> bool:
        self.world.step()
        self._check_claim(self.world.claims[None])
        if self.world.published_by != self.resume.job_id:
            self.world.table = [row for batch in self._batches for row in batch]
            self.world.clock.check(
                Counter(self.world.table) == self.world.expected, "I3: only a whole job is published"
            )
            self.world.published_by = self.resume.job_id
            self.world.publications += 1
        self.world.step()
        self.world.staged = {}
        self.world.step()
        return True

    def _check_claim(self, epoch: int) -> None:
        if epoch > self.resume.epoch:
            raise OvertakenError(self.resume.job_id)


class SharedState:
    """The state as each command sees it: it may be interrupted before and after every call, and the invariants are
    checked there."""

    def __init__(self, backend: "SQLAlchemyBackend", world: World) -> None:
        self._backend, self._world, self._clock = backend, world, world.clock
        self._epochs: dict[int, int] = {}
        self._pages: Counter[int] = Counter()
        self._held: dict[str, tuple[int, float]] = {}
        """By claim: the part, and until when it is held."""

    def __enter__(self) -> "SharedState":
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def __getattr__(self, name: str) -> Any:
        inner = getattr(self._backend, name)
        around = getattr(type(self), f"_{name}", None)
        if not callable(inner):
            return inner

        def call(*args: Any, **keys: Any) -> Any:
            self._world.step()
            result = inner(*args, **keys) if around is None else around(self, *args, **keys)
            self._world.step()
            return result

        return call

    def _create_destination_cursor(self, record: "CommitRecord") -> Any:
        cursor = self._backend.create_destination_cursor(record)
        part, check = record.partition, self._clock.check
        assert part is not None
        staged = None if record.receipt is None else self._world.staged.get(record.receipt["id"])
        check(record.rows_written == (0 if staged is None else len(staged[1])), "I1: what is recorded is staged")
        check(record.from_source_iteration == self._pages[part], "I2: pages of a part are contiguous")
        check(record.epoch == self._epochs[part], "I6: a superseded worker commits nothing")
        self._pages[part] = record.to_source_iteration + 1
        return cursor

    def _update_stream_job_status(self, job_id: str, status: JobStatus, *args: Any, **keys: Any) -> None:
        succeeds = status is JobStatus.SUCCEEDED
        self._clock.check(not succeeds or self._world.published_by == job_id, "I4: success follows publishing")
        self._backend.update_stream_job_status(job_id, status, *args, **keys)

    def _take_part(self, *args: Any) -> "TakenPart | None":
        part = self._backend.take_part(*args)
        if part is not None:
            others = [until for number, until in self._held.values() if number == part.number]
            self._clock.check(all(until < self._clock.now for until in others), "I10: one worker holds a part")
            committed = self._backend.committed(args[0], part.number).last
            following = 0 if committed is None else committed.to_source_iteration + 1
            self._clock.check(following == self._pages[part.number], "I5: the last cursor says where a part continues")
            self._epochs[part.number] = part.epoch
            self._held[part.claim] = part.number, self._clock.now + TTL
        return part

    def _renew_part(self, job_id: str, claim: str, ttl: float) -> None:
        self._backend.renew_part(job_id, claim, ttl)
        part, until = self._held[claim]
        is_taken_over = any(number == part and each > until for number, each in self._held.values())
        if not is_taken_over:
            self._held[claim] = part, self._clock.now + ttl

    def _give_back_part(self, job_id: str, claim: str) -> bool:
        self._held.pop(claim, None)
        return self._backend.give_back_part(job_id, claim)
