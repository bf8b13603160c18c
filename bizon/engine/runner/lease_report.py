"""The runs that work on a pipeline, as plain values."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LeaseReport:
    """The lease of one role and its holder. ``alive`` is False once the holder is known to be gone, or its lease has
    expired."""

    role: str
    host: str
    pid: int
    owner: str
    age_seconds: float
    idle_seconds: float
    alive: bool


@dataclass(frozen=True, slots=True)
class PartReport:
    """A part of a joined job that a worker holds. ``alive`` as in :class:`LeaseReport`."""

    partition: int
    host: str
    pid: int
    idle_seconds: float
    alive: bool


@dataclass(frozen=True, slots=True)
class MemberReport:
    """A member of a stream that holds a seat. ``places``: what it reads, by the names of its source. ``alive`` as in
    :class:`LeaseReport`; the others are as it noted them last."""

    member: int
    host: str
    pid: int
    idle_seconds: float
    alive: bool
    places: tuple[str, ...]
    records_per_second: float | None = None
    lag: int | None = None
    noted_at: str | None = None
