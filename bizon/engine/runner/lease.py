"""One run at a time: the leases of a stream are taken before anything else and kept alive until the run is over.

There is one for each half. That of the consumer is filed under a stream of its own name, so that a consumer that runs
apart from its producer keeps other consumers out, and a run with both halves keeps out both.
"""

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from threading import Event, Thread
from uuid import uuid4

from bizon.common.errors.errors import BackendError, JobLockedError
from bizon.common.processes import is_gone, place, started
from bizon.common.role import Role
from bizon.common.safe_log import logger
from bizon.engine.backend.backend import AbstractBackend
from bizon.engine.backend.models import Lease, LeaseHolder, StreamKey

_LONGEST_NAME = 80  # characters; columns have room for 100


@contextmanager
def held_lease(
    backend: AbstractBackend, key: StreamKey, ttl: float, on_lost: Callable[[str], None]
) -> Iterator[LeaseHolder]:
    """Hold the lease of a stream; raises JobLockedError when another run holds it.

    A thread renews it. When another run has taken it over, because this one was frozen for longer than ``ttl``
    seconds, ``on_lost`` is called with the reason; commits are refused by the backend from then on.
    """
    holder = this_process()
    standing = backend.acquire_lease(key, holder, ttl, is_dead)
    if standing is not None:
        raise JobLockedError(_locked(key, standing))
    over = Event()

    def keep_alive() -> None:
        level = "WARNING"
        while not over.wait(backend.heartbeat_interval(ttl)):
            try:
                if not backend.renew_lease(key, holder.owner, ttl):
                    on_lost("another run has taken over: this one was silent for longer than its lease")
                    return
                level = "WARNING"
            except BackendError as error:
                logger.log(level, f"the lease could not be renewed, trying again: {error}")
                level = "DEBUG"

    heartbeat = Thread(target=keep_alive, name="bizon-lease", daemon=True)
    heartbeat.start()
    try:
        yield holder
    finally:
        over.set()
        heartbeat.join()
        with suppress(BackendError):  # it expires by itself, or is taken over at once on this host
            backend.release_lease(key, holder.owner)


def lease_key(key: StreamKey, half: Role) -> StreamKey:
    """What the lease of a half is filed under."""
    if half is Role.PRODUCER:
        return key
    is_long = len(key.name) > _LONGEST_NAME
    name = f"{key.name[:60]}~{sha256(key.name.encode()).hexdigest()[:12]}" if is_long else key.name
    return key._replace(name=f"{name} (consumer)")


def this_process() -> LeaseHolder:
    """A new run of the current process."""
    pid = os.getpid()
    return LeaseHolder(uuid4().hex, socket.gethostname(), pid, place(), started(pid))


def is_dead(holder: LeaseHolder) -> bool:
    """True when it is certain that the holder's process is gone: it lived among the same process ids as this one."""
    return is_gone(holder.pid, holder.place, holder.started)


def _locked(key: StreamKey, lease: Lease) -> str:
    holder = lease.holder
    return (
        f"pipeline '{key.name}' ({key.source_name}.{key.stream_name}) is being run by process {holder.pid} on host "
        f"'{holder.host}' (owner {holder.owner[:8]}) since {lease.age:.0f} s, last heard of {lease.idle:.0f} s ago; "
        f"wait until it ends, or {max(lease.expires_in, 0):.0f} s after it was killed on another host"
    )
