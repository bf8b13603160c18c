"""What the behaviours of backends are tried with."""

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

    ``rounds``: how often two that work at once meet in one test; fewer for a state whose statements take long.
    """

    rounds: ClassVar[int] = 20

    @pytest.fixture
    def open_backend(self) -> OpenBackend:
        """A callable that makes a new backend on the state of this test."""
        raise NotImplementedError(f"{type(self).__name__} needs a fixture open_backend, see bizon/testing/backend.py")

    @pytest.fixture
    def backend(self, open_backend: OpenBackend) -> Iterator[AbstractBackend]:
        """A backend with its tables."""
        with open_backend() as backend:
            backend.create_all_tables()
            yield backend


def commit(backend: AbstractBackend, job_id: str, first: int, last: int, rows: int = 1, **values: Any) -> None:
    """Record that the pages from ``first`` to ``last`` were written."""
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
    """A run on a host of its own."""
    return LeaseHolder(owner=name, host=f"host of {name}", pid=4711, place=f"place of {name}", started="99")


def alive(_holder: LeaseHolder) -> bool:
    """Nobody is known to be dead."""
    return False


def dead(_holder: LeaseHolder) -> bool:
    """Everybody is known to be dead."""
    return True
