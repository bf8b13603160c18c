"""One run at a time: the leases of a stream are taken before anything else and kept alive until the run is over.

Each half has its own lease. The consumer's is filed under a stream name of its own, so a consumer that runs apart from
its producer keeps other consumers out, and a run with both halves keeps out both.
"""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from hashlib import sha256
from typing import TYPE_CHECKING
from uuid import uuid4

from bizon.common.errors.errors import BackendError, JobLockedError
from bizon.common.processes import is_gone, place, started
from bizon.common.safe_log import logger
from bizon.common.ticking import Ticker
from bizon.engine.backend.models import Lease, LeaseHolder, Role, StreamKey

if TYPE_CHECKING:
    from bizon.common.models import BizonConfig
    from bizon.engine.backend.backend import AbstractBackend

_LONGEST_NAME = 80  # characters; columns have room for 100


@contextmanager
def held_lease(
    backend: "AbstractBackend", key: StreamKey, ttl: float, on_lost: Callable[[str], None]
) -> Iterator[LeaseHolder]:
    """Hold the lease of a stream; raises JobLockedError when another run holds it.

    A thread renews it. When another run has taken it over, because this one was frozen for longer than ``ttl``
    seconds, ``on_lost`` is called with the reason; the backend refuses commits from then on.
    """
    holder = this_process()
    standing = backend.acquire_lease(key, holder, ttl, is_dead)
    if standing is not None:
        raise JobLockedError(_locked(key, standing))
    level = "WARNING"

    def renew() -> None:
        nonlocal level
        try:
            if not backend.renew_lease(key, holder.owner, ttl):
                heartbeat.stop()
                on_lost("another run has taken over: this one was silent for longer than its lease")
            level = "WARNING"
        except BackendError as error:
            logger.log(level, f"the lease could not be renewed, retrying: {error}")
            level = "DEBUG"

    heartbeat = Ticker(renew, backend.heartbeat_interval(ttl), name="bizon-lease")
    try:
        with heartbeat:
            yield holder
    finally:
        with suppress(BackendError):  # it expires by itself, or is taken over at once on this host
            backend.release_lease(key, holder.owner)


def held_by_half(
    backend: "AbstractBackend", config: "BizonConfig", half: Role, on_lost: Callable[[str], None]
) -> AbstractContextManager[LeaseHolder]:
    """The lease that one half of a run holds; see ``held_lease``."""
    key = lease_key(config.stream_key, half)
    return held_lease(backend, key, config.engine.runner.config.lease_ttl, on_lost)


@contextmanager
def both_held(backend: "AbstractBackend", config: "BizonConfig") -> Iterator[None]:
    """Within: no run of the pipeline begins; for a short change of its state. Raises JobLockedError while one is in
    progress."""
    with ExitStack() as leases:
        for half in Role:
            leases.enter_context(held_by_half(backend, config, half, logger.warning))
        yield


def lease_key(key: StreamKey, half: Role) -> StreamKey:
    """The key that the lease of a half is filed under."""
    if half.fetches:
        return key
    is_long = len(key.name) > _LONGEST_NAME
    name = f"{key.name[:60]}~{sha256(key.name.encode()).hexdigest()[:12]}" if is_long else key.name
    return key._replace(name=f"{name} (consumer)")


def leases_of(backend: "AbstractBackend", key: StreamKey) -> tuple[Lease | None, Lease | None]:
    """The leases of the producing and of the consuming half, as the state has them."""
    producer, consumer = (backend.get_lease(lease_key(key, half)) for half in (Role.PRODUCER, Role.CONSUMER))
    return producer, consumer


def this_process() -> LeaseHolder:
    """A new run of the current process."""
    pid = os.getpid()
    return LeaseHolder(uuid4().hex, socket.gethostname(), pid, place(), started(pid))


def is_dead(holder: LeaseHolder) -> bool:
    """True when the holder's process is certainly gone. Only a process in the same set of process ids can tell."""
    return is_gone(holder.pid, holder.place, holder.started)


def _locked(key: StreamKey, lease: Lease) -> str:
    holder = lease.holder
    return (
        f"pipeline '{key.name}' ({key.source_name}.{key.stream_name}) is being run by process {holder.pid} on host "
        f"'{holder.host}' (owner {holder.owner[:8]}), started {lease.age:.0f} s ago, last heartbeat "
        f"{lease.idle:.0f} s ago; wait until it ends, or {max(lease.expires_in, 0):.0f} s after it was killed on "
        "another host"
    )
