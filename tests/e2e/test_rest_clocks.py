"""The clock of an API: apart from ours, cut to minutes, and in a Retry-After. A test sets the moment of a run."""

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING

import duckdb
import pytest
from standins.rest.server import Asked, Json, Reply, RestStandIn, by_page, changed_within

from bizon import RunnerFactory
from bizon.common.clock import fixed_at

if TYPE_CHECKING:
    from conftest import Pipeline

pytestmark = pytest.mark.matrix(share=2, pool="clocks of APIs")

BEGIN = datetime(2024, 5, 1, 10, tzinfo=UTC)


@pytest.fixture
def api() -> Iterator[RestStandIn]:
    with RestStandIn().running() as server:
        yield server


@pytest.fixture
def records(api: RestStandIn) -> list[Json]:
    """The table of the API, which may grow between two runs. A record was changed long before all of them."""
    found = [{"id": 0, "updated_at": (BEGIN - timedelta(days=1)).isoformat()}]
    api.routes["/items"] = lambda asked: by_page(changed_within(found, asked), asked)
    return found


@pytest.fixture
def increments(pipeline: "Pipeline", api: RestStandIn) -> "Pipeline":
    limits = {"cursor_field": "updated_at", "since": {"param": "since"}, "until": {"param": "until"}}
    page = {"type": "page", "param": "page"}
    endpoint = {"path": "/items", "records": "items", "pages": page, "incremental": limits}
    keys = {"name": "rest", "stream": "items", "base_url": api.url, "sync_mode": "incremental"}
    return pipeline.source(source_file_path=None, endpoints={"items": endpoint}, **keys)


def run_at(pipeline: "Pipeline", **after: float) -> None:
    """Run in this process, at a moment after BEGIN."""
    _ = pipeline.command
    with contextlib.chdir(pipeline.folder), fixed_at(BEGIN + timedelta(**after)):
        RunnerFactory.create_from_yaml("config.yml").run(raise_on_failure=True)


def changed(id_: int, skew: timedelta, **after: float) -> Json:
    """A record that changes at a moment after BEGIN, by a clock that is ahead."""
    return {"id": id_, "updated_at": (BEGIN + timedelta(**after) + skew).isoformat()}


def test_a_clock_that_is_ahead_delays_a_change_and_neither_loses_nor_doubles_it(
    increments: "Pipeline", records: list[Json]
) -> None:
    skew = timedelta(minutes=5)
    run_at(increments)
    records.append(changed(1, skew, minutes=1))
    run_at(increments, minutes=2)
    assert increments.ids() == [0]
    records.append(changed(2, skew, minutes=3))
    run_at(increments, minutes=7)
    assert increments.ids() == [0, 1]
    for minutes in (12, 20):
        run_at(increments, minutes=minutes)
    assert increments.ids() == [0, 1, 2]


def test_a_lookback_as_long_as_a_clock_is_behind_loses_no_change_and_a_merge_doubles_none(
    increments: "Pipeline", records: list[Json]
) -> None:
    skew = -timedelta(minutes=5)
    increments.config["source"]["endpoints"]["items"]["incremental"]["lookback"] = "6m"
    merge = {"database": "out.duckdb", "write_mode": "merge", "primary_key": ["id"]}
    increments.set("destination", {"name": "duckdb", "config": merge})
    run_at(increments)
    for number, minutes in enumerate((1, 3), 1):
        records.append(changed(number, skew, minutes=minutes))
        run_at(increments, minutes=minutes + 1)
        assert in_duckdb(increments) == [*range(number + 1)]
    run_at(increments, minutes=20)
    assert in_duckdb(increments) == [0, 1, 2]


def in_duckdb(pipeline: "Pipeline") -> list[int]:
    with duckdb.connect(pipeline.folder / "out.duckdb", read_only=True) as database:
        return [id_ for (id_,) in database.execute("SELECT id FROM rest_items ORDER BY 1").fetchall()]


def test_changes_in_the_minute_of_a_run_come_once_when_the_api_cuts_its_times_to_minutes(
    increments: "Pipeline", records: list[Json]
) -> None:
    """With `cursor_resolution`; each run begins in the middle of a minute, with a change before and after it."""
    increments.source(cursor_resolution=60)
    run_at(increments, seconds=-90)
    for number in range(3):
        records.append(cut(1 + 2 * number, minutes=number, seconds=10))
        run_at(increments, minutes=number, seconds=30)
        records.append(cut(2 + 2 * number, minutes=number, seconds=50))
    run_at(increments, minutes=9)
    assert sorted(increments.ids()) == [*range(7)]


def cut(id_: int, **after: float) -> Json:
    moment = BEGIN + timedelta(**after)
    return {"id": id_, "updated_at": moment.replace(second=0).isoformat()}


def test_no_request_comes_before_the_date_of_a_retry_after(increments: "Pipeline", api: RestStandIn) -> None:
    """The clock of the server tells. The check of the connection is let through."""
    dates: list[datetime] = []
    early: list[datetime] = []

    def refuse(asked: Asked) -> Reply | None:
        now = datetime.now(UTC)
        if not dates and len(api.served) == 2:
            dates.append(now.replace(microsecond=0) + timedelta(seconds=2))
            return Reply({}, 429, {"Retry-After": format_datetime(dates[0], usegmt=True)})
        if dates and now < dates[0]:
            early.append(now)
        return None

    api.routes["/items"] = lambda asked: by_page([{"id": number} for number in range(6)], asked)
    api.before = refuse
    increments.source(sync_mode="full_refresh").run()
    assert len(dates) == 1
    assert early == []
    assert increments.ids() == [*range(6)]
