"""The lease of a stream: one run at a time."""

import time
from typing import TYPE_CHECKING

import pytest

from bizon.testing.backend_fixtures import KEY, OTHER_STREAM, BackendFixtures, alive, dead, holder

if TYPE_CHECKING:
    from bizon.engine.backend.backend import AbstractBackend
    from bizon.engine.backend.models import Lease

A, B = holder("a"), holder("b")
HOUR = 3600.0


class LeaseBehaviours(BackendFixtures):
    """Part of ``BackendConformance``."""

    def test_a_lease_is_taken_shown_and_released(self, backend: "AbstractBackend") -> None:
        assert backend.get_lease(KEY) is None
        assert backend.acquire_lease(KEY, A, HOUR, alive) is None
        lease = _standing(backend)
        assert (lease.holder, lease.gone) == (A, False)
        assert 0 < lease.expires_in <= HOUR
        assert 0 <= lease.idle <= lease.age < HOUR
        backend.release_lease(KEY, A.owner)
        assert backend.get_lease(KEY) is None

    def test_a_held_lease_is_shown_to_a_run_that_wants_it(self, backend: "AbstractBackend") -> None:
        assert backend.acquire_lease(KEY, A, HOUR, alive) is None
        for _ in range(2):
            in_the_way = backend.acquire_lease(KEY, B, HOUR, alive)
            assert in_the_way is not None
            assert in_the_way.holder == A
        assert _standing(backend).holder == A

    def test_only_its_holder_releases_a_lease(self, backend: "AbstractBackend") -> None:
        assert backend.acquire_lease(KEY, A, HOUR, alive) is None
        backend.release_lease(KEY, B.owner)
        assert _standing(backend).holder == A

    def test_a_released_lease_is_free_for_all(self, backend: "AbstractBackend") -> None:
        assert backend.acquire_lease(KEY, A, HOUR, alive) is None
        backend.release_lease(KEY, A.owner)
        assert backend.acquire_lease(KEY, B, HOUR, alive) is None

    def test_each_stream_has_its_own_lease(self, backend: "AbstractBackend") -> None:
        assert backend.acquire_lease(KEY, A, HOUR, alive) is None
        assert backend.acquire_lease(OTHER_STREAM, A, HOUR, alive) is None
        backend.release_lease(OTHER_STREAM, A.owner)
        assert _standing(backend).holder == A

    def test_the_holder_may_take_its_lease_again(self, backend: "AbstractBackend") -> None:
        for _ in range(2):
            assert backend.acquire_lease(KEY, A, HOUR, alive) is None

    def test_an_expired_lease_is_taken_over_and_its_holder_notices(self, backend: "AbstractBackend") -> None:
        assert backend.acquire_lease(KEY, A, -1, alive) is None
        assert _standing(backend).expires_in < 0
        assert backend.acquire_lease(KEY, B, HOUR, alive) is None
        assert not backend.renew_lease(KEY, A.owner, HOUR)
        assert _standing(backend).holder == B

    def test_a_lease_expires_by_itself(self, backend: "AbstractBackend") -> None:
        assert backend.acquire_lease(KEY, A, 1, alive) is None
        deadline = time.monotonic() + 30
        while backend.acquire_lease(KEY, B, HOUR, alive) is not None:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert _standing(backend).holder == B

    def test_a_renewed_lease_counts_from_now(self, backend: "AbstractBackend") -> None:
        assert backend.acquire_lease(KEY, A, -1, alive) is None
        assert backend.renew_lease(KEY, A.owner, HOUR), "it has expired, but nobody wanted it"
        in_the_way = backend.acquire_lease(KEY, B, HOUR, alive)
        assert in_the_way is not None
        assert in_the_way.holder == A

    def test_a_lease_that_nobody_holds_cannot_be_renewed(self, backend: "AbstractBackend") -> None:
        assert not backend.renew_lease(KEY, A.owner, HOUR)
        assert backend.get_lease(KEY) is None

    def test_the_lease_of_a_dead_holder_is_taken_over_at_once(self, backend: "AbstractBackend") -> None:
        assert backend.acquire_lease(KEY, A, HOUR, alive) is None
        assert backend.acquire_lease(KEY, B, HOUR, dead) is None
        assert _standing(backend).holder == B

    @pytest.mark.parametrize("length", [1, 100])
    def test_long_names_have_a_lease(self, backend: "AbstractBackend", length: int) -> None:
        key = type(KEY)("n" * length, "s" * length, "t" * length)
        assert backend.acquire_lease(key, A, HOUR, alive) is None
        lease = backend.get_lease(key)
        assert lease is not None
        assert lease.holder == A


def _standing(backend: "AbstractBackend") -> "Lease":
    lease = backend.get_lease(KEY)
    assert lease is not None
    return lease
