"""Rows of transactions that began earlier and commit later are not lost in PostgreSQL, each comes once."""

import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from connectors.sources.sql.sql_kit import Reading, created, postgres_url, settle
from postgres import Place

from bizon.common.errors.errors import SourceFetchError
from bizon.connectors.sources.sql.src import postgres_transactions

Connection = psycopg.Connection[tuple[Any, ...]]

TABLE = "CREATE TABLE t (id int PRIMARY KEY, seq bigserial, at {kind} DEFAULT now())"


@pytest.fixture
def place(postgres: Place) -> Place:
    created(postgres).rows(TABLE.format(kind="timestamptz"))
    postgres.rows("INSERT INTO t (id) VALUES (1)")
    return postgres


@pytest.fixture
def early(place: Place) -> Iterator[Connection]:
    """A connection whose transactions stay open."""
    with closing(place.connect()) as connection:
        connection.autocommit = False
        yield connection


class Pipeline:
    """An incremental pipeline, run after run."""

    def __init__(self, place: Place, cursor: str = "at", **block: Any) -> None:
        self.block = {
            "url": postgres_url(place),
            "stream": "t",
            "sync_mode": "incremental",
            "cursor_field": cursor,
            "page_size": 2,
            **block,
        }
        self.state: dict[str, Any] | None = None
        self.found: list[str] = []

    def run(self) -> list[str]:
        read = Reading(state=self.state, **self.block)
        self.state = read.state
        self.found += read.ids
        return read.ids


def test_a_transaction_that_began_earlier_and_commits_later(place: Place, early: Connection) -> None:
    """`updated_at > max(updated_at)` loses row 2, which was there last and has the older time."""
    settle()
    pipeline = Pipeline(place)
    assert pipeline.run() == ["1"]
    early.execute("INSERT INTO t (id) VALUES (2)")
    place.rows("INSERT INTO t (id) VALUES (3)")
    settle()
    assert pipeline.run() == []
    early.commit()
    settle()
    assert pipeline.run() == ["2", "3"]
    assert pipeline.run() == []


def test_a_transaction_that_has_not_written_yet_when_the_run_looks(place: Place, early: Connection) -> None:
    early.execute("SELECT now()")
    place.rows("INSERT INTO t (id) VALUES (3)")
    settle()
    pipeline = Pipeline(place)
    pipeline.run()
    early.execute("INSERT INTO t (id) VALUES (2)")
    early.commit()
    settle()
    pipeline.run()
    assert sorted(pipeline.found) == ["1", "2", "3"]


def test_an_update_that_commits_late(place: Place, early: Connection) -> None:
    settle()
    pipeline = Pipeline(place)
    pipeline.run()
    early.execute("UPDATE t SET at = now() WHERE id = 1")
    settle()
    place.rows("INSERT INTO t (id) VALUES (2)")
    pipeline.run()
    early.commit()
    settle()
    pipeline.run()
    assert sorted(pipeline.found) == ["1", "1", "2"]


def test_a_stream_without_a_key(place: Place, early: Connection) -> None:
    place.rows("ALTER TABLE t DROP CONSTRAINT t_pkey")
    pipeline = Pipeline(place)
    pipeline.block["fresh"] = False
    early.execute("INSERT INTO t (id) VALUES (2)")
    settle()
    place.rows("INSERT INTO t (id) VALUES (3)")
    first = Reading(**pipeline.block)
    early.commit()
    settle()
    second = Reading(state=first.state, **pipeline.block)
    assert sorted(first.column("id") + second.column("id")) == [1, 2, 3]


def test_times_without_a_zone_are_in_the_zone_of_the_database(postgres: Place) -> None:
    """Compared as UTC, times of New York are hours old, and the rows of the last hours would be taken for settled."""
    created(postgres).rows(TABLE.format(kind="timestamp"))
    pipeline = Pipeline(postgres)
    pipeline.block["url"] += "%20-cTimeZone%3DAmerica/New_York"
    with closing(postgres.connect()) as writer:
        writer.execute("SET TimeZone = 'America/New_York'")
        writer.execute("INSERT INTO t (id) VALUES (1)")
        settle()
        assert pipeline.run() == ["1"]
        writer.autocommit = False
        writer.execute("INSERT INTO t (id) VALUES (2)")
        settle()
        assert pipeline.run() == []
        writer.commit()
    settle()
    assert pipeline.run() == ["2"]


def test_a_date_comes_once_its_day_is_over(postgres: Place) -> None:
    created(postgres).rows(TABLE.format(kind="date"))
    postgres.rows("INSERT INTO t (id, at) VALUES (1, now()), (2, now() - interval '2 days')")
    assert Pipeline(postgres).run() == ["2"]


def test_numbers_wait_for_the_transactions_that_are_open(place: Place, early: Connection) -> None:
    pipeline = Pipeline(place, "seq")
    pipeline.run()
    early.execute("INSERT INTO t (id) VALUES (2)")
    place.rows("INSERT INTO t (id) VALUES (3)")
    commit = threading.Timer(0.5, early.commit)
    commit.start()
    pipeline.run()
    commit.join()
    assert pipeline.found == ["1", "2", "3"]


def test_numbers_of_a_transaction_that_stays_open(
    place: Place, early: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_transactions, "_PATIENCE", 1.5)
    pipeline = Pipeline(place, "seq")
    pipeline.run()
    early.execute("INSERT INTO t (id) VALUES (2)")
    place.rows("INSERT INTO t (id) VALUES (3)")
    assert pipeline.run() == []
    with pytest.raises(SourceFetchError, match="a transaction stays open, and its rows could be lost"):
        Pipeline(place, "seq").run()
    early.commit()
    assert pipeline.run() == ["2", "3"]


@pytest.fixture
def stranger(place: Place) -> Iterator[Place]:
    """The same schema, as a role that may read it and not see the sessions of others."""
    role = f"bizon_{uuid4().hex[:12]}"
    place.rows(f"CREATE ROLE {role} LOGIN PASSWORD 'a-password'")
    place.rows(f"GRANT USAGE ON SCHEMA {place.quoted_schema} TO {role}")
    place.rows(f"GRANT SELECT ON t TO {role}")
    yield Place(place.host, place.port, role, "a-password", place.database, place.schema)
    place.rows(f"DROP OWNED BY {role}")
    place.rows(f"DROP ROLE {role}")


def test_a_role_that_does_not_see_open_transactions_is_an_error(
    place: Place, stranger: Place, early: Connection
) -> None:
    early.execute("INSERT INTO t (id) VALUES (2)")
    with pytest.raises(SourceFetchError, match=r"GRANT pg_read_all_stats to the role\. Or set source.lookback"):
        Pipeline(stranger).run()
    place.rows(f"GRANT pg_read_all_stats TO {stranger.username}")
    place.rows("INSERT INTO t (id) VALUES (3)")
    settle()
    pipeline = Pipeline(stranger)
    pipeline.run()
    early.commit()
    settle()
    pipeline.run()
    assert sorted(pipeline.found) == ["1", "2", "3"]


def test_with_a_lookback_such_a_role_may_read(stranger: Place, early: Connection, capfd: Any) -> None:
    early.execute("INSERT INTO t (id) VALUES (2)")
    settle()
    pipeline = Pipeline(stranger, lookback="1m")
    assert pipeline.run() == ["1"]
    early.commit()
    assert sorted(pipeline.run()) == ["1", "2"]
    assert "only source.lookback covers rows that are committed late" in capfd.readouterr().err


def test_a_snapshot_is_never_older_than_the_question_for_open_transactions(place: Place) -> None:
    """In a transaction with one snapshot, rows that are committed before that question would be lost."""
    url = postgres_url(place) + "%20-cdefault_transaction_isolation%3Dserializable"
    query = {"q": "SELECT current_setting('transaction_isolation') AS isolation"}
    assert Reading(url=url, stream="q", queries=query, fresh=False).column("isolation") == ["read committed"]


def test_a_standby_and_prepared_transactions_leave_the_open_ones_unknown() -> None:
    """This server has neither; the answer of the statement is made up."""

    class Found:
        is_standby, prepared, hidden = True, 1, 0

    assert "this server is a standby" in str(postgres_transactions._unknown(Found))
    Found.is_standby = False
    assert "1 prepared transactions wait" in str(postgres_transactions._unknown(Found))
    Found.prepared = 0
    assert postgres_transactions._unknown(Found) is None
