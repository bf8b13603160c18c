"""The parts that both halves of a run share: the state, the queue, and the spool of a queue inside the run."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bizon.destination.buffer import memory_budget
from bizon.engine.backend.backend import AbstractBackend, BackendFactory
from bizon.engine.queue.queue import AbstractQueue, QueueFactory
from bizon.engine.queue.spool import Spool

if TYPE_CHECKING:
    from bizon.common.models import BizonConfig
    from bizon.common.role import Role
    from bizon.engine.backend.models import StreamKey
    from bizon.engine.runner.models import RunContext


def build_backend(config: "BizonConfig") -> AbstractBackend:
    """The backend of the pipeline, with its tables created."""
    backend = BackendFactory.get_backend(config.engine.backend)
    backend.create_all_tables()
    return backend


def build_queue(config: "BizonConfig", key: "StreamKey", role: "Role") -> AbstractQueue:
    """The queue of one role, outside the run, not connected yet."""
    return QueueFactory.get_queue(config.engine.queue, role=role, stream=key, budget=memory_budget(config))


def build_shared_queue(config: "BizonConfig", spool: Spool | None) -> AbstractQueue:
    """The queue that both halves hold, inside the run."""
    return QueueFactory.get_queue(config.engine.queue, budget=memory_budget(config), spool=spool)


@contextmanager
def open_spool(context: "RunContext") -> Iterator[Spool | None]:
    """Within: the spool for pages that wait long in the consuming side's queue; None when pages are not spooled."""
    if context.spool is None:
        yield None
        return
    with Spool(context.spool, context.run).kept() as spool:
        yield spool
