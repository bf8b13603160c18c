"""The parts that both roles of a run share: the state, the queue, and the spool of a queue inside the run."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Self

from bizon.destination.buffer import memory_budget
from bizon.engine.backend.backend import AbstractBackend, BackendFactory
from bizon.engine.queue.queue import AbstractQueue, QueueFactory
from bizon.engine.queue.spool import Spool, discard

if TYPE_CHECKING:
    from types import TracebackType

    from bizon.common.models import BizonConfig
    from bizon.engine.backend.models import Role
    from bizon.engine.pipeline.run import Run
    from bizon.engine.runner.models import RunContext


def build_backend(config: "BizonConfig", *, was_reached: bool = False) -> AbstractBackend:
    """The backend of the pipeline, with its tables created. ``was_reached``: by another process of this host."""
    backend = BackendFactory.get_backend(config.engine.backend, was_reached=was_reached)
    backend.create_all_tables()
    return backend


class SharedState:
    """The state of several runs that take place at once in this process. The first that needs it opens it: it connects,
    and checks the tables. Within its context, which ends after the last of them."""

    def __init__(self, config: "BizonConfig") -> None:
        self._config = config
        self._lock = Lock()
        self._own: AbstractBackend | None = None
        self._is_open = False

    def backend(self) -> AbstractBackend:
        """The backend of one run, which closes it. Any thread may call it. Raises BackendError when the state cannot be
        opened; the next run tries again, and does not wait where this one has waited in vain."""
        with self._lock:
            own = self._own = self._own or existing_backend(self._config)
            if not self._is_open:
                own.create_all_tables()
                self._is_open = True
        return own.beside()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: "TracebackType | None"
    ) -> None:
        with self._lock:
            if self._own is not None:
                self._own.close()
                self._own, self._is_open = None, False


def existing_backend(config: "BizonConfig") -> AbstractBackend:
    """The backend of the pipeline, for looking: no table is created."""
    return BackendFactory.get_backend(config.engine.backend)


def build_queue(config: "BizonConfig", role: "Role") -> AbstractQueue:
    """The queue of one role, outside the run, not connected yet."""
    stream = config.stream_key
    return QueueFactory.get_queue(config.engine.queue, role=role, stream=stream, budget=memory_budget(config))


def build_shared_queue(config: "BizonConfig", spool: Spool | None, first_page: int) -> AbstractQueue:
    """The queue that both roles hold, inside the run. ``first_page``: the number of the first page it will carry."""
    budget = memory_budget(config)
    return QueueFactory.get_queue(config.engine.queue, budget=budget, spool=spool, first_page=first_page)


def spool_folder(config: "BizonConfig", backend: AbstractBackend, run: "Run") -> Path | None:
    """The folder for pages that wait long; it holds none of another job. None when pages are not spooled: a broker
    keeps its own, in sync mode ``stream`` none wait, and the pages of partitions have no order that a spool could
    keep."""
    if config.source.is_endless or config.engine.queue.is_broker or run.partitions:
        return None
    folder = backend.spool_folder(run.key)
    if folder is not None:
        discard(folder, keep_job=run.job_id)
    return folder


def drop_spool(context: "RunContext") -> None:
    """Remove the spooled pages of a job that is published."""
    if context.spool is not None:
        discard(context.spool)


@contextmanager
def open_spool(context: "RunContext") -> Iterator[Spool | None]:
    """Within: the spool for pages that wait long in the consuming side's queue; None when pages are not spooled."""
    if context.spool is None:
        yield None
        return
    with Spool(context.spool, context.run).kept() as spool:
        yield spool
