"""One run at a time: the leases of a stream are taken before anything else and kept alive until the run is over.

The commands that join a job (``bizon run --join``) hold the lease of its stream together: under an owner that all of
them know from the job, each of them renews it. So a run without ``--join`` is kept out while any of them lives. Nobody
can be judged dead by the process that took this lease last, since others may live: it is left to expire, or released by
the command that has published. Beginning a job and publishing it are for one command at a time, which holds one more
lease for that.

Each role has its own lease. The consumer's is filed under a stream name of its own, so a consumer that runs apart from
its producer keeps other consumers out, and a run with both roles keeps out both.
"""

import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple
from uuid import uuid4

from bizon.common.errors.errors import BackendError, JobLockedError
from bizon.common.processes import is_gone, place, started
from bizon.common.safe_log import logger
from bizon.common.ticking import Ticker
from bizon.engine.backend.models import Lease, LeaseHolder, Role, StreamKey

if TYPE_CHECKING:
    from threading import Event

    from bizon.common.models import BizonConfig
    from bizon.engine.backend.backend import AbstractBackend

_LONGEST_NAME = 80  # characters; columns have room for 100
LOOK_EVERY = 0.25
"""Seconds between two looks at what other commands do."""

_JOINED = "joined "  # before the id of the job, in the owner of a lease


@contextmanager
def held_lease(
    backend: "AbstractBackend",
    key: StreamKey,
    ttl: float,
    on_lost: Callable[[str], None],
    may_replace: Callable[[LeaseHolder], bool] | None = None,
) -> Iterator[LeaseHolder]:
    """Hold the lease of a stream; raises JobLockedError when another run holds it, unless that run is dead, or
    ``may_replace`` says that its lease is of no use.

    A thread renews it. When another run has taken it over, because this one was frozen for longer than ``ttl``
    seconds, ``on_lost`` is called with the reason; the backend refuses commits from then on.
    """
    holder = this_process()
    standing = backend.acquire_lease(key, holder, ttl, may_replace or is_dead)
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


def held_by_role(
    backend: "AbstractBackend",
    config: "BizonConfig",
    role: Role,
    on_lost: Callable[[str], None],
    may_replace: Callable[[LeaseHolder], bool] | None = None,
) -> AbstractContextManager[LeaseHolder]:
    """The lease that one role of a run holds; see ``held_lease``."""
    key = lease_key(config.stream_key, role)
    return held_lease(backend, key, config.engine.runner.config.lease_ttl, on_lost, may_replace)


@contextmanager
def both_held(backend: "AbstractBackend", config: "BizonConfig") -> Iterator[None]:
    """Within: no run of the pipeline begins; for a short change of its state. Raises JobLockedError while one is in
    progress."""
    with ExitStack() as leases:
        for role in Role:
            leases.enter_context(held_by_role(backend, config, role, logger.warning))
        yield


def lease_key(key: StreamKey, role: Role) -> StreamKey:
    """The key that the lease of a role is filed under."""
    return key if role.fetches else key_for(key, "consumer")


def key_for(key: StreamKey, purpose: str) -> StreamKey:
    """The key of another lease of the same stream."""
    is_long = len(key.name) > _LONGEST_NAME
    name = f"{key.name[:60]}~{sha256(key.name.encode()).hexdigest()[:12]}" if is_long else key.name
    return key._replace(name=f"{name} ({purpose})")


def leases_of(backend: "AbstractBackend", key: StreamKey) -> tuple[Lease | None, Lease | None]:
    """The leases of the producer and of the consumer, as the state has them."""
    producer, consumer = (backend.get_lease(lease_key(key, role)) for role in (Role.PRODUCER, Role.CONSUMER))
    return producer, consumer


def this_process() -> LeaseHolder:
    """A new run of the current process."""
    pid = os.getpid()
    return LeaseHolder(uuid4().hex, socket.gethostname(), pid, place(), started(pid))


def is_dead(holder: LeaseHolder) -> bool:
    """True when the holder's process is certainly gone. Only a process in the same set of process ids can tell."""
    return is_gone(holder.pid, holder.place, holder.started)


def _locked(key: StreamKey, lease: Lease) -> str:
    """The run that is in the way, in words."""
    holder = lease.holder
    return (
        f"pipeline '{key.name}' ({key.source_name}.{key.stream_name}) is being run by process {holder.pid} on host "
        f"'{holder.host}' (owner {holder.owner[:8]}), started {lease.age:.0f} s ago, last heartbeat "
        f"{lease.idle:.0f} s ago; wait until it ends, or {max(lease.expires_in, 0):.0f} s after it was killed on "
        "another host"
    )


@contextmanager
def one_at_a_time(backend: "AbstractBackend", config: "BizonConfig", purpose: str, stopping: "Event") -> Iterator[bool]:
    """Within: no other command that joins does the same. Waits while one does, as long as it lives. Yields False when
    the run is asked to stop meanwhile."""
    key, ttl = key_for(config.stream_key, purpose), config.engine.runner.config.lease_ttl
    with ExitStack() as held:
        while True:
            try:
                held.enter_context(held_lease(backend, key, ttl, logger.debug))
            except JobLockedError:
                if not stopping.wait(LOOK_EVERY):
                    continue
                yield False
            else:
                yield True
            return


class SharedLease(NamedTuple):
    """The lease of a stream while a joined job is under way."""

    backend: "AbstractBackend"
    config: "BizonConfig"
    job_id: str

    def take(self, instead_of: Sequence[LeaseHolder] = ()) -> None:
        """Take it, or share it with those who hold it. ``instead_of``: holders whose lease this one replaces. Raises
        JobLockedError when another run holds it."""
        holder = this_process()._replace(owner=self._owner, place="", started="")
        replaced = [each.owner for each in instead_of]
        for role in Role:
            key = lease_key(self.config.stream_key, role)
            standing = self.backend.acquire_lease(key, holder, self._ttl, lambda found: found.owner in replaced)
            if standing is not None:
                raise JobLockedError(_locked(key, standing))

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Within: it is renewed, and taken back when it was lost while all who share it were silent. A command that
        lost it goes on: its commits are refused once its part was taken over, or its job is over."""

        def renew() -> None:
            try:
                if not self._renew() and self._is_under_way():
                    self.take()
            except JobLockedError:
                logger.debug("another run holds the lease of the stream; trying again")
            except BackendError as error:
                logger.warning(f"the lease could not be renewed, retrying: {error}")

        with Ticker(renew, self.backend.heartbeat_interval(self._ttl), name="bizon-lease"):
            yield

    def release(self) -> None:
        """The job is over. Others that still hold the lease find that out."""
        for role in Role:
            with suppress(BackendError):  # it expires by itself
                self.backend.release_lease(lease_key(self.config.stream_key, role), self._owner)

    def _renew(self) -> bool:
        keys = (lease_key(self.config.stream_key, role) for role in Role)
        return all([self.backend.renew_lease(key, self._owner, self._ttl) for key in keys])

    def _is_under_way(self) -> bool:
        job = self.backend.get_stream_job_by_id(self.job_id)
        return job is not None and job.is_resumable

    @property
    def _owner(self) -> str:
        return f"{_JOINED}{self.job_id}"

    @property
    def _ttl(self) -> float:
        return self.config.engine.runner.config.lease_ttl


def shared_job_id(backend: "AbstractBackend", config: "BizonConfig") -> str | None:
    """The id of the job that living commands have joined; None when there are none."""
    lease = backend.get_lease(config.stream_key)
    if lease is None or lease.expires_in <= 0 or not _is_shared(lease.holder):
        return None
    return lease.holder.owner.removeprefix(_JOINED)


def _is_shared(holder: LeaseHolder) -> bool:
    """Whether a lease is held by commands that have joined a job."""
    return holder.owner.startswith(_JOINED)


@contextmanager
def held_by_one(backend: "AbstractBackend", config: "BizonConfig") -> Iterator[list[LeaseHolder]]:
    """Within: this command alone holds the leases of both roles, to begin a job that others may then join. A lease
    that is shared for a job that is over does not count. Raises JobLockedError while another run is in progress."""

    def may_replace(holder: LeaseHolder) -> bool:
        return is_dead(holder) or _is_shared(holder)

    with ExitStack() as held:
        yield [held.enter_context(held_by_role(backend, config, role, logger.debug, may_replace)) for role in Role]
