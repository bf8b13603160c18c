"""The advisory lock by which a run into Postgres keeps out runs of another state."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from connectors.destinations.postgres.kit import block
from connectors.destinations.table_kit import FULL_REFRESH, pipeline
from poolers import POOLED, POOLERS
from postgres import Place, PrivateServer

from bizon.common.errors.errors import DestinationConnectionError, DestinationWriteError
from bizon.testing.destination_guards import stranger_to
from bizon.testing.destination_jobs import Pipeline, records
from bizon.testing.joined_jobs import JoinedJob

HELD = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ShareLock'"
REFUSED = "is being written by session {session} of the server .*user '{user}'.*bizon.* does not know"


@contextmanager
def refused(place: Place) -> Iterator[None]:
    """Within: a start is refused, with the session that holds the lock."""
    ((session,),) = place.rows(HELD)
    with pytest.raises(DestinationConnectionError, match=REFUSED.format(session=session, user=place.username)):
        yield


@pytest.fixture
def into(private_postgres: PrivateServer) -> Iterator[Pipeline]:
    with pipeline(block(private_postgres.place, unnest=False), FULL_REFRESH) as made:
        yield made


def test_a_run_whose_session_was_ended_takes_its_lock_in_the_next_one(
    into: Pipeline, private_postgres: PrivateServer
) -> None:
    place = private_postgres.place
    job = into.job()
    job.start()
    job.commit(0, records("a"))
    place.rows(f"SELECT pg_terminate_backend(pid) FROM ({HELD}) AS holders")
    with pytest.raises(DestinationWriteError):
        job.write(1, records("b"))
    job.commit(1, records("b"))
    with stranger_to(into) as stranger, refused(place):
        stranger.load(records("theirs"))
    job.publish()
    assert place.rows("SELECT source_record_id FROM items ORDER BY 1") == [("a",), ("b",)]


def test_a_worker_and_a_publisher_of_a_joined_job_keep_out_another_state(
    into: Pipeline, private_postgres: PrivateServer
) -> None:
    place = private_postgres.place
    job = JoinedJob(into)
    with stranger_to(into) as stranger:
        job.parts[0].start()
        with refused(place):
            stranger.load(records("theirs"))
        job.parts[1].start()
        assert len(place.rows(HELD)) == 2
        for part in job.parts:
            part.commit(0, records(f"{part.number}"))
            part.bury()
        job.start()
        with refused(place):
            stranger.load(records("theirs"))
        job.publish()
    assert place.rows("SELECT source_record_id FROM items ORDER BY 1") == [("0",), ("1",)]


def test_a_job_that_replaced_another_one_and_ended_is_followed_while_the_other_one_is_frozen(
    into: Pipeline, private_postgres: PrivateServer
) -> None:
    """The lock of the frozen job is its own."""
    into.job().start()
    frozen = into.opened.pop()
    into.load(records("a"))
    into.close()
    assert len(private_postgres.place.rows(HELD)) == 1
    with stranger_to(into) as stranger:
        stranger.load(records("theirs"))
    frozen.close()
    assert private_postgres.place.rows("SELECT source_record_id FROM items") == [("theirs",)]


@pytest.mark.parametrize("name", POOLERS)
def test_a_session_that_a_pooler_keeps_holds_no_lock(private_postgres: PrivateServer, name: str) -> None:
    """Else each run with its state in memory would be refused after the first."""
    place = private_postgres.place
    with POOLED[name](place) as through, pipeline(block(through, unnest=False), FULL_REFRESH) as into:
        job = into.job()
        job.start()
        job.commit(0, records("a"))
        assert place.rows(HELD) == []
        job.publish()
        into.close()
        with stranger_to(into) as stranger:
            stranger.load(records("theirs"))
    assert place.rows("SELECT source_record_id FROM items") == [("theirs",)]
