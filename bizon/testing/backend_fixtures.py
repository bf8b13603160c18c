"""Fixtures and helpers of the backend suite."""

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest

from bizon.engine.backend.backend import AbstractBackend
from bizon.engine.backend.models import CommitRecord, LeaseHolder, StreamKey

KEY = StreamKey("conformance", "source", "items")
OTHER_STREAM = StreamKey(KEY.name, KEY.source_name, "others")

OpenBackend = Callable[[], AbstractBackend]


class BackendFixtures:
    """The fixtures of the suite: ``open_backend``, which a backend's test overrides, and ``backend``.

    ``rounds``: how often two concurrent workers meet in one test; ``starts``: how many runs start at once and compete.
    Lower both for a database with slow statements.
    """

    takes_members: ClassVar[bool] = True
    """Whether commands with --join may share a stream in this state."""
    rounds: ClassVar[int] = 20
    starts: ClassVar[int] = 6

    @pytest.fixture
    def open_backend(self) -> OpenBackend:
        """A callable that creates a new backend on the state of this test."""
        raise NotImplementedError(f"{type(self).__name__} needs a fixture open_backend, see bizon/testing/backend.py")

    @pytest.fixture
    def backend(self, open_backend: OpenBackend) -> Iterator[AbstractBackend]:
        """A backend with its tables."""
        with open_backend() as backend:
            backend.create_all_tables()
            yield backend


def commit(backend: AbstractBackend, job_id: str, first: int, last: int, rows: int = 1, **values: Any) -> None:
    """Record that the pages ``first`` to ``last`` were written."""
    record = {"epoch": 0, "pagination": {"page": last + 1}, **values}
    backend.create_destination_cursor(
        CommitRecord(
            job_id=job_id,
            key=KEY,
            destination_name="file",
            from_source_iteration=first,
            to_source_iteration=last,
            rows_written=rows,
            **record,
        )
    )


def holder(name: str) -> LeaseHolder:
    """A run on its own host."""
    return LeaseHolder(owner=name, host=f"host of {name}", pid=4711, place=f"place of {name}", started="99")


def alive(_holder: LeaseHolder) -> bool:
    """No holder is known to be dead."""
    return False


def dead(_holder: LeaseHolder) -> bool:
    """Every holder is known to be dead."""
    return True
