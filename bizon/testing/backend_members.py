"""The members of a stream: seats, and places that move between them; for states with ``takes_members``."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pytest

from bizon.common.errors.errors import OvertakenError
from bizon.testing.backend_fixtures import KEY, BackendFixtures, alive, commit, dead, holder

if TYPE_CHECKING:
    from bizon.engine.backend.backend import AbstractBackend
    from bizon.engine.partitions import Seat

HOUR = 3600.0


class MemberBehaviours(BackendFixtures):
    """Part of ``BackendConformance``."""

    @pytest.fixture
    def job_id(self, backend: "AbstractBackend") -> str:
        """A stream of this state, whose members may take seats."""
        if not self.takes_members:
            pytest.skip("this state takes no members of a stream")
        job_id = backend.create_stream_job(KEY, "stream").id
        backend.join_job(job_id, epoch=backend.open_epoch(job_id))
        return job_id

    def test_each_member_has_a_seat_and_the_seat_of_a_dead_one_is_taken(
        self, backend: "AbstractBackend", job_id: str
    ) -> None:
        seats = [_seat(backend, job_id, name) for name in ("a", "b")]
        assert [(seat.number, seat.epoch) for seat in seats] == [(0, 1), (1, 1)]
        again = backend.take_seat(job_id, holder("c"), HOUR, dead)
        assert (again.number, again.epoch) == (0, 2)
        assert [state.part.number for state in backend.get_seats(job_id)] == [0, 1]

    def test_a_member_that_begins_again_keeps_its_seat(self, backend: "AbstractBackend", job_id: str) -> None:
        _, second = _seat(backend, job_id, "a"), _seat(backend, job_id, "b")
        again = backend.take_seat(job_id, holder("b"), HOUR, alive, second.claim)
        assert (again.number, again.epoch) == (second.number, second.epoch + 1)

    def test_the_members_of_a_stream_have_pages_of_their_own(self, backend: "AbstractBackend", job_id: str) -> None:
        seats = [_seat(backend, job_id, name) for name in ("a", "b")]
        for seat in seats:
            for page in range(3):
                _commit(backend, job_id, seat, page, {"p": page})
        for seat in seats:
            (cursor,) = backend.committed(job_id, seat.number).cursors
            assert (cursor.to_source_iteration, cursor.rows_written) == (2, 3)

    def test_a_place_goes_on_after_the_last_checkpoint_of_any_member(
        self, backend: "AbstractBackend", job_id: str
    ) -> None:
        first, second = (_seat(backend, job_id, name) for name in ("a", "b"))
        assert backend.claim_places(job_id, first, ["p", "q"], _divided).paginations == {}
        _commit(backend, job_id, first, 0, {"p": 5, "q": 1})
        backend.release_places(job_id, first, ["p"], _divided)
        _commit(backend, job_id, first, 1, {"q": 2})
        assert backend.claim_places(job_id, second, ["p"], _divided).paginations == {"p": {"p": 5}}
        _commit(backend, job_id, second, 0, {"p": 8})
        backend.release_places(job_id, second, None, _divided)
        assert backend.claim_places(job_id, first, ["p"], _divided).paginations == {"p": {"p": 8}}
        backend.release_places(job_id, first, ["p"], _divided)  # nothing was committed since
        assert backend.claim_places(job_id, second, ["p"], _divided).paginations == {"p": {"p": 8}}

    def test_a_place_that_a_member_holds_stays_until_the_member_is_superseded(
        self, backend: "AbstractBackend", job_id: str
    ) -> None:
        first, second = (_seat(backend, job_id, name) for name in ("a", "b"))
        backend.claim_places(job_id, first, ["p", "q"], _divided)
        _commit(backend, job_id, first, 0, {"p": 5, "q": 1})
        assert backend.claim_places(job_id, second, ["p"], _divided).held_by == (first.number,)
        later = backend.supersede_seat(job_id, first.number)
        for late in (
            lambda: _commit(backend, job_id, first, 1, {"p": 6, "q": 1}),
            lambda: backend.claim_places(job_id, first, ["r"], _divided),
            lambda: backend.release_places(job_id, first, None, _divided),
        ):
            with pytest.raises(OvertakenError):
                late()
        backend.release_places(job_id, later, None, _divided)
        assert backend.claim_places(job_id, second, ["p"], _divided).paginations == {"p": {"p": 5}}
        assert [dict(state.places) for state in backend.get_seats(job_id)] == [{"q": False}, {"p": True}]

    def test_places_move_between_plain_runs_and_members(self, backend: "AbstractBackend", job_id: str) -> None:
        epoch = backend.open_epoch(job_id)
        commit(backend, job_id, 0, 3, epoch=epoch, pagination={"p": 4, "q": 1}, extends=True)
        for _ in range(2):  # a start that was killed in between repeats it
            backend.move_to_seats(job_id, _divided, epoch=epoch)
        seat = _seat(backend, job_id, "a")
        assert backend.claim_places(job_id, seat, ["p"], _divided).paginations == {"p": {"p": 4}}
        _commit(backend, job_id, seat, 0, {"p": 9})
        backend.move_to_chain(job_id, _divided, _united, epoch=epoch)
        last, job = backend.committed(job_id).last, backend.get_stream_job_by_id(job_id)
        assert last is not None
        assert (last.partition, last.to_source_iteration, last.pagination) == (None, 3, {"p": 9, "q": 1})
        assert job is not None
        assert not job.is_joined
        with pytest.raises(OvertakenError):
            backend.move_to_seats(job_id, _divided, epoch=epoch - 1)

    def test_the_note_of_a_member_is_kept_for_display(self, backend: "AbstractBackend", job_id: str) -> None:
        seat = _seat(backend, job_id, "a")
        backend.note_member(job_id, seat.number, {"lag": 3})
        assert [state.note for state in backend.get_seats(job_id)] == [{"lag": 3}]


def _seat(backend: "AbstractBackend", job_id: str, name: str) -> "Seat":
    return backend.take_seat(job_id, holder(name), HOUR, alive)


def _commit(backend: "AbstractBackend", job_id: str, seat: "Seat", page: int, pagination: dict[str, Any]) -> None:
    commit(backend, job_id, page, page, epoch=seat.epoch, partition=seat.number, pagination=pagination, extends=True)


def _divided(pagination: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: {name: position} for name, position in pagination.items()}


def _united(places: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    return {name: position for place in places.values() for name, position in place.items()}
