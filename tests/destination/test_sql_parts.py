"""Parts of a job in SQL tables: the behaviours, on a file that several processes may write, and each guard of the kit
switched off, which one of them must notice."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bizon.common.errors.errors import BizonError, DestinationError, OvertakenError
from bizon.destination.config import AbstractDestinationConfig, AbstractDestinationDetailsConfig
from bizon.destination.fence import Fence
from bizon.destination.models import ResumePoint
from bizon.destination.sql_claims import Claims
from bizon.destination.sql_parts import Stagings, UnitedStaging
from bizon.destination.sql_rows import StagingTable
from bizon.destination.sql_table import SqlTableDestination
from bizon.destination.sql_target import SQLITE
from bizon.testing.destination import FULL_REFRESH, INCREMENTAL, DestinationConformance
from bizon.testing.destination_jobs import Pipeline, records
from bizon.testing.destination_parts import DestinationParts
from bizon.testing.joined_jobs import JoinedJob


class Ledger(SqlTableDestination):
    """A table of a SQLite database in the working directory."""

    driver = sqlite3
    dialect = SQLITE
    place = "ledger.db"
    single_writer = False

    def connect(self) -> sqlite3.Connection:
        made = sqlite3.connect("ledger.db", timeout=0)
        made.execute("PRAGMA synchronous = OFF")  # nothing here is about a disk
        return made


@pytest.fixture(autouse=True)
def _in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def query(statement: str) -> list[Any]:
    database = sqlite3.connect("ledger.db")
    with database:
        found = database.execute(statement).fetchall()
    database.close()
    return found


def tables() -> list[str]:
    return sorted(name for (name,) in query("SELECT name FROM sqlite_master WHERE type = 'table'"))


class TestLedger(DestinationConformance):
    takes_parts = True
    modes = (FULL_REFRESH, INCREMENTAL)
    client = ("sqlite3",)

    @pytest.fixture
    def config(self) -> AbstractDestinationConfig:
        details = AbstractDestinationDetailsConfig(destination_id="items")
        return AbstractDestinationConfig(name="file", alias="ledger", config=details)

    def build(self, *parts: Any) -> Ledger:
        return Ledger(*parts)

    def read(self, config: AbstractDestinationConfig, destination_id: str | None) -> list[dict[str, Any]]:
        names = [name for name in tables() if name == (destination_id or "items")] if Path("ledger.db").exists() else []
        return [{"source_record_id": id_} for name in names for (id_,) in query(f"SELECT source_record_id FROM {name}")]

    def leftovers(self, config: AbstractDestinationConfig) -> list[str]:
        claims = [name for (name,) in query("SELECT output FROM _bizon_outputs") if name != "items"]
        return [*claims, *(name for name in tables() if name.startswith("items_"))]


for _name in dir(DestinationConformance):
    _owner = getattr(getattr(TestLedger, _name), "__qualname__", "").partition(".")[0]
    if _name.startswith("test_") and _owner != DestinationParts.__name__:
        setattr(TestLedger, _name, None)  # the tests of the scaffolds claim the other behaviours


@pytest.fixture
def into() -> Any:
    suite = TestLedger()
    config = TestLedger.config.__wrapped__(suite)  # type: ignore[attr-defined]
    opened = DestinationConformance.pipeline.__wrapped__(suite, config)  # type: ignore[attr-defined]
    yield next(opened)(FULL_REFRESH)
    opened.close()


def begun(into: Pipeline, parts: int = 2) -> JoinedJob:
    """A job whose parts have a row each."""
    job = JoinedJob(into, parts)
    for part in job.parts:
        part.start()
        part.commit(0, records(f"{part.number}.0"))
    return job


def test_a_worker_whose_part_was_taken_over_is_refused_and_the_others_go_on(into: Pipeline) -> None:
    job = begun(into)
    first, other = job.parts
    superseded = first.as_it_is()
    first.start()
    with pytest.raises(OvertakenError):
        superseded.write(1, records("late"))
    other.commit(1, records("1.1"))
    first.commit(1, records("0.1"))


def test_no_worker_writes_once_a_publisher_has_begun(into: Pipeline) -> None:
    job = begun(into)
    late, resume = job.parts[0].connect()
    job.start()
    with pytest.raises(OvertakenError):
        job.parts[1].write(1, records("late"))
    with pytest.raises(OvertakenError):
        late.prepare(resume)
    job.publish()
    with pytest.raises(OvertakenError):
        job.parts[1].start()
    assert tables() == ["_bizon_outputs", "items"]


def test_a_worker_of_an_older_job_is_refused_as_soon_as_a_newer_job_begins(into: Pipeline) -> None:
    older = begun(into)
    late, resume = older.parts[0].connect()
    JoinedJob(into).parts[0].start()
    with pytest.raises(OvertakenError):
        late.prepare(resume)
    with pytest.raises(OvertakenError):
        older.parts[1].write(1, records("late"))


def test_a_part_whose_staging_table_is_gone_is_named(into: Pipeline) -> None:
    job = begun(into)
    query("DELETE FROM _bizon_outputs WHERE output LIKE '%part1%'")
    job.start()
    with pytest.raises(
        DestinationError, match=r"pages 0-0 of part 1 \(1 rows\): the staging table of the part is miss"
    ):
        job.publish()


def test_rows_are_published_in_the_order_of_parts_and_pages(into: Pipeline) -> None:
    job = JoinedJob(into, 11)
    for part in reversed(job.parts):
        part.deliver([records(f"{part.number}.0"), records(f"{part.number}.1")])
    job.finish()
    found = [id_ for (id_,) in query("SELECT source_record_id FROM items")]
    assert found == [f"{part}.{page}" for part in range(11) for page in range(2)]


def test_workers_that_claim_the_output_in_the_same_instant_both_begin(
    into: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both had found no claim, and the second to insert one failed."""
    job, find, raced = JoinedJob(into), Claims.find, list[str]()

    def late(claims: Claims, within: Any, output: str) -> Any:
        found = find(claims, within, output)
        if output == "items" and "taken" in raced and "failed" not in raced:
            raced.append("failed")
            return None  # the other one has inserted it since
        return found

    job.parts[0].start()
    raced.append("taken")
    monkeypatch.setattr(Claims, "find", lambda claims, within, output: late(claims, within, output))
    monkeypatch.setattr(Ledger, "_open", _opened(Ledger._open, raced))
    job.parts[1].start()
    assert "failed" in raced
    job.parts[1].commit(0, records("1.0"))


def _opened(inner: Callable[..., None], raced: list[str]) -> Callable[..., None]:
    """Step 1 sees the table as it is."""

    def opened(destination: Ledger, resume: ResumePoint) -> None:
        raced.remove("taken")
        inner(destination, resume)
        raced.append("taken")

    return opened


TAKEN_OVER = "rows_of_a_worker_whose_part_was_taken_over_do_not_count"
TORN = "a_worker_that_dies_between_a_write_and_its_checkpoint_leaves_nothing"
GIVEN_UP = "parts_of_a_job_that_was_given_up_never_show"
PLAIN = "a_plain_job_and_a_joined_one_leave_nothing_to_each_other"
AT_ONCE = "parts_that_workers_write_at_once_are_published_together"
MUTANTS: dict[str, tuple[Any, str, Any, str]] = {
    "a_superseded_worker_writes": (Fence, "checked", lambda _fence, held, _resume: held, TAKEN_OVER),
    "parts_are_not_closed": (Claims, "close_parts", lambda _claims, _within, _created: [], TAKEN_OVER),
    "a_worker_trims_nothing": (StagingTable, "trim", lambda _table, _within, _last: None, TORN),
    "parts_share_a_table": (Stagings, "part", lambda stagings, _number: stagings.own(), AT_ONCE),
    "workers_do_not_claim_the_output": (ResumePoint, "of_job", property(lambda resume: resume), TAKEN_OVER),
    "older_jobs_keep_their_parts": (Stagings, "begin", lambda _stagings, _claim: None, PLAIN),
    "parts_are_not_dropped": (Stagings, "end", lambda _stagings: None, AT_ONCE),
    "parts_are_not_verified": (
        UnitedStaging,
        "verify",
        lambda _staging, _committed: None,
        "rows_of_one_part_that_are_recorded_and_not_staged_stop_the_publication",
    ),
    "any_publisher_publishes": (
        Fence,
        "check_newest",
        lambda _fence, _held, _resume: None,
        "a_publisher_that_was_frozen_publishes_nothing",
    ),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_the_suite_notices_a_guard_that_is_switched_off(mutant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, name, without, behaviour = MUTANTS[mutant]
    run(behaviour)
    query("DROP TABLE items")
    query("DROP TABLE _bizon_outputs")
    monkeypatch.setattr(owner, name, without)
    with pytest.raises((AssertionError, BizonError, pytest.fail.Exception)):
        run(behaviour)


def run(behaviour: str) -> None:
    suite = TestLedger()
    config = TestLedger.config.__wrapped__(suite)  # type: ignore[attr-defined]
    opened = DestinationConformance.pipeline.__wrapped__(suite, config)  # type: ignore[attr-defined]
    try:
        getattr(suite, f"test_{behaviour}")(config=config, pipeline=next(opened), mode=FULL_REFRESH)
    finally:
        opened.close()
