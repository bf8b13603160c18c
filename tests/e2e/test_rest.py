"""The source ``rest`` through the real command: kills, increments, what the server was asked for."""

import os
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from standins.rest.server import Asked, RestStandIn, by_cursor, by_page, changed_within, items

if TYPE_CHECKING:
    from conftest import Pipeline

pytestmark = pytest.mark.matrix(share=6, pool="pipelines of source rest")

PROJECTS = [{"id": f"p{number}"} for number in range(5)]
ENDPOINTS: dict[str, Any] = {
    "projects": {
        "path": "/projects",
        "records": "data.items",
        "pages": {"type": "cursor", "param": "cursor", "next": "meta.next"},
    },
    "issues": {
        "path": "/projects/{parent.id}/issues",
        "parent": {"stream": "projects", "include": {"project": "id"}},
        "records": "items",
        "id": ["project", "id"],
        "pages": {"type": "page", "param": "page", "total": "total", "strict": True},
    },
}
ALL = [f"{project['id']}:{number}" for project in PROJECTS for number in range(1, 6)]


@pytest.fixture
def api() -> Iterator[RestStandIn]:
    with RestStandIn().running() as server:
        server.routes["/projects"] = lambda asked: by_cursor(PROJECTS, asked)
        server.routes["/projects/*"] = lambda asked: by_page(items(5), asked)
        yield server


@pytest.fixture
def issues(pipeline: "Pipeline", api: RestStandIn) -> "Pipeline":
    pipeline.source(source_file_path=None, name="rest", stream="issues", base_url=api.url, endpoints=ENDPOINTS)
    return pipeline.destination(buffer_size=0)


def rows(pipeline: "Pipeline") -> list[str]:
    return [line["source_record_id"] for line in pipeline.lines()]


@pytest.mark.parametrize("runner", ["thread", "process"])
@pytest.mark.parametrize(
    "place",
    [
        *("/projects/p1/issues?page=3", "/projects/p3/issues?page=1", "/projects/p4/issues?page=4"),
        *("/projects/p2/issues?page=1", "/projects?cursor=2"),  # the first child of a page of parents, and that page
    ],
)
def test_a_kill_inside_a_child_stream_costs_the_page_in_flight(
    issues: "Pipeline", api: RestStandIn, place: str, runner: str
) -> None:
    """Semantics 1. The server counts: no page comes twice, except for the one that the kill interrupted, and the first
    page of the parents, which the check of the connection asks for."""
    killed: list[int] = []

    def kill(asked: Asked) -> None:
        if asked.key == place and killed:
            wait_until_all_is_committed(issues, len(api.served) - 1)  # pages of parents, too
            os.killpg(killed.pop(), signal.SIGKILL)

    api.before = kill
    run = issues.start("--runner", runner)
    killed.append(run.pid)
    run.communicate(timeout=60)
    assert run.returncode == -signal.SIGKILL
    issues.run("--runner", runner)
    assert rows(issues) == ALL
    counts = api.counts()
    assert len(counts) == 5 * 4 + 3
    assert {page for page, count in counts.items() if count > 1} == {place, "/projects?"}
    assert max(counts.values()) == 2


def wait_until_all_is_committed(pipeline: "Pipeline", pages: int) -> None:
    """The time limit of the test bounds it."""
    while True:
        ((found,),) = pipeline.in_state("SELECT max(to_source_iteration) FROM destination_cursors")
        if found is not None and found + 1 >= pages:
            return
        time.sleep(0.01)


def test_an_increment_appends_what_changed_and_a_window_is_fetched_again(
    pipeline: "Pipeline", api: RestStandIn
) -> None:
    records = items(7)
    api.routes["/items"] = lambda asked: by_page(changed_within(records, asked), asked)
    endpoint = {
        "path": "/items",
        "records": "items",
        "pages": {"type": "page", "param": "page"},
        "incremental": {"cursor_field": "updated_at", "since": {"param": "since"}, "until": {"param": "until"}},
    }
    keys = {"name": "rest", "stream": "items", "base_url": api.url, "sync_mode": "incremental"}
    pipeline.source(source_file_path=None, endpoints={"items": endpoint}, **keys)
    pipeline.run()
    assert pipeline.ids() == [1, 2, 3, 4, 5, 6, 7]
    pipeline.run()
    assert pipeline.ids() == [1, 2, 3, 4, 5, 6, 7]
    records[3] |= {"name": "changed", "updated_at": datetime.now(UTC).isoformat()}
    pipeline.run()
    assert pipeline.ids() == [1, 2, 3, 4, 5, 6, 7, 4]
    pipeline.run("--since", "2024-05-02T10:00:00Z", "--until", "2024-05-03T10:00:00Z")
    assert pipeline.ids() == [1, 2, 3, 4, 5, 6, 7, 4, 3]


def test_a_tombstone_removes_its_row_from_a_typed_table(pipeline: "Pipeline", api: RestStandIn) -> None:
    """By `deleted` of the endpoint and `deletes: remove` of the destination; a newer record brings the row back."""
    records: list[dict[str, Any]] = [{"id": number, "archived": False, **moment_of(number)} for number in range(3)]
    api.routes["/items"] = lambda asked: by_page(changed_within(records, asked), asked)
    limits = {"cursor_field": "updated_at", "since": {"param": "since"}, "until": {"param": "until"}}
    page = {"type": "page", "param": "page"}
    endpoint = {"path": "/items", "records": "items", "deleted": "archived", "pages": page, "incremental": limits}
    keys = {"name": "rest", "stream": "items", "base_url": api.url, "sync_mode": "incremental"}
    pipeline.source(source_file_path=None, endpoints={"items": endpoint}, **keys)
    merge = {"write_mode": "merge", "primary_key": ["id"], "version": "updated_at"}
    deletes = {"deletes": "remove", "deleted_field": "_deleted"}
    pipeline.set("destination", {"name": "duckdb", "config": {"database": "out.duckdb", **merge, **deletes}})
    pipeline.run()
    assert rows_in_duckdb(pipeline) == [0, 1, 2]
    records[1] |= {"archived": True, **moment_of(0)}
    records.append({"id": 3, "archived": True, **moment_of(0)})
    pipeline.run()
    assert rows_in_duckdb(pipeline) == [0, 2]
    records[1] |= {"archived": False, **moment_of(0)}
    pipeline.run()
    assert rows_in_duckdb(pipeline) == [0, 1, 2]


def moment_of(hours: float) -> dict[str, str]:
    return {"updated_at": (datetime.now(UTC) - timedelta(hours=hours)).isoformat()}


def rows_in_duckdb(pipeline: "Pipeline") -> list[int]:
    with duckdb.connect(pipeline.folder / "out.duckdb", read_only=True) as database:
        return [id_ for (id_,) in database.execute("SELECT id FROM rest_items ORDER BY 1").fetchall()]


def test_a_lookback_brings_the_records_of_the_overlap_again(pipeline: "Pipeline", api: RestStandIn) -> None:
    now = datetime.now(UTC)
    records = [{"id": hours, "updated_at": (now - timedelta(hours=hours)).isoformat()} for hours in (1, 3)]
    api.routes["/items"] = lambda asked: {"items": changed_within(records, asked)}
    limits = {"cursor_field": "updated_at", "since": {"param": "since"}, "lookback": "2h"}
    endpoints = {"items": {"path": "/items", "records": "items", "incremental": limits}}
    keys = {"name": "rest", "stream": "items", "base_url": api.url, "sync_mode": "incremental"}
    pipeline.source(source_file_path=None, endpoints=endpoints, **keys).run()
    pipeline.run()
    assert pipeline.ids() == [1, 3, 1]


def test_the_endpoints_of_a_configuration_are_listed_and_nothing_is_asked_for(
    issues: "Pipeline", api: RestStandIn
) -> None:
    done = issues.bizon("stream", "list", "config.yml")
    assert sorted(done.stdout.splitlines()) == [
        "Available streams for rest:",
        "[Full refresh only] - issues (/projects/{parent.id}/issues)",
        "[Full refresh only] - projects (/projects)",
    ]
    assert api.served == []


def test_a_recording_of_windows_replays_later(pipeline: "Pipeline", api: RestStandIn) -> None:
    """The ends of windows came from the moment of the replay, and the recording lacked the newest."""
    began = datetime.now(UTC) - timedelta(seconds=2)
    records = [{"id": number, "at": (began + timedelta(seconds=number)).isoformat()} for number in range(2)]

    def within(asked: Asked) -> list[dict[str, Any]]:
        low, high = asked.params["since"], asked.params.get("until", "9")
        return [each for each in records if low <= each["at"].replace("+00:00", "Z") < high]

    api.routes["/items"] = lambda asked: {"items": within(asked)}
    limits = {
        "cursor_field": "at",
        "since": {"param": "since"},
        "until": {"param": "until"},
        "start": began.isoformat(),
        "window": "1s",
    }
    endpoint = {"path": "/items", "records": "items", "incremental": limits}
    http = {"retries": {"backoff_factor": 0}}
    keys = {"name": "rest", "stream": "items", "base_url": api.url, "http": http, "endpoints": {"items": endpoint}}
    pipeline.source(source_file_path=None, **keys)
    pipeline.bizon("source", "test", "config.yml", "--record", "tape")
    pipeline.bizon("source", "test", "config.yml", "--replay", "tape")


def test_a_recording_replays_without_the_server(issues: "Pipeline", api: RestStandIn) -> None:
    """Semantics 5."""
    api.routes["/projects"] = lambda asked: by_cursor(PROJECTS[:3], asked)
    api.routes["/projects/*"] = lambda asked: by_page(items(2), asked)
    api.admits = lambda asked: asked.headers.get("authorization") == "Bearer a-secret-token"
    issues.source(
        authentication={"type": "bearer", "params": {"token": "a-secret-token"}},
        http={"retries": {"backoff_factor": 0}},
    )
    recorded = issues.bizon("source", "test", "config.yml", "--record", "tape")
    assert "a-secret-token" not in (issues.folder / "tape" / "exchange.yaml").read_text()
    api.admits = lambda asked: False
    served = len(api.served)
    replayed = issues.bizon("source", "test", "config.yml", "--replay", "tape")
    assert len(api.served) == served
    assert replayed.stdout.count("ok") == recorded.stdout.count("ok") > 20
