"""The source ``rest`` on servers of others, through the real command: everything once, then what changed."""

import signal
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from connectors.sources.rest import real_servers
from connectors.sources.rest.real_servers import Database, Parameters, Table, reading, records, run
from e2e.conftest import Pipeline

pytestmark = pytest.mark.matrix(share=6, pool="real servers")

COUNT = 250
KILLED = str(Path(__file__).parents[3] / "e2e/killed_rest.py")


@pytest.fixture(scope="module")
def datasette(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Table]:
    with real_servers.datasette(tmp_path_factory.mktemp("datasette")) as table:
        yield table


FILTERED = {
    "timestamp": "updated_at",
    "incremental": {
        "cursor_field": "updated_at",
        "since": {"param": "updated_at__gte", "inclusive": True},
        "until": {"param": "updated_at__lt"},
    },
}
STYLES: dict[str, dict[str, Any]] = {
    "link_header": {"params": {"_shape": "array"}, "pages": {"type": "link_header"}},
    "next_url": {"params": {"_shape": "objects"}, "records": "rows", "pages": {"type": "next_url", "next": "next_url"}},
    "cursor": {
        "params": {"_shape": "objects"},
        **{"records": "rows", "pages": {"type": "cursor", "param": "_next", "next": "next"}},
    },
    "keyset": {
        "params": {"_shape": "array", "_sort": "id"},
        "pages": {"type": "keyset", "param": "id__gt"},
    },
}


@pytest.mark.parametrize("style", STYLES)
def test_datasette(pipeline: Pipeline, datasette: Table, style: str) -> None:
    """Rows of a table, 40 on a page. Lists have a Link header, and filters compare texts."""
    datasette.run("DELETE FROM items")
    number = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
    rows = "SELECT i, 'item ' || i, i * 1.25, strftime('%Y-%m-%dT%H:%M:%SZ', '2024-05-01', i || ' minutes') FROM n"
    datasette.run(f"INSERT INTO items {number}{rows}", COUNT)
    params = {"_size": 40, **STYLES[style]["params"]}
    reading(pipeline, datasette.url, {"path": "/items.json", **FILTERED, **STYLES[style], "params": params})
    pipeline.source(cursor_resolution=1)  # the times are whole seconds
    assert run(pipeline) == datasette.run("SELECT * FROM items ORDER BY id")
    assert run(pipeline) == []
    now = "strftime('%Y-%m-%dT%H:%M:%SZ', 'now')"
    datasette.run(f"UPDATE items SET price = -1, updated_at = {now} WHERE id IN (1, 41, 250)")
    time.sleep(1.05)  # until this second is over: in it a run cannot tell before from after
    assert run(pipeline) == datasette.run("SELECT * FROM items WHERE price = -1 ORDER BY id")
    assert run(pipeline) == []


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """Items that changed in the past, two at each moment."""
    items = [
        {
            "id": number,
            "name": f"item {number}",
            "updated_at": f"2024-05-01T{number // 2 // 60:02}:{number // 2 % 60:02}:00Z",
        }
        for number in range(COUNT)
    ]
    with real_servers.json_server(tmp_path, items) as found:
        yield found


BY_LINK = {
    "path": "/items",
    "params": {"_page": 1, "_limit": 40, "_sort": "id"},
    "timestamp": "updated_at",
    "pages": {"type": "link_header"},
    "incremental": {
        "cursor_field": "updated_at",
        "since": {"param": "updated_at_gte", "inclusive": True},
        "until": {"param": "updated_at_lte"},
    },
}
PAGES = -(-COUNT // 40)


def change(database: Database, numbers: Iterable[int]) -> None:
    """Change items now, and wait until this second is over: in it a run cannot tell before from after."""
    for number in numbers:
        database.change(number, name="changed", updated_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
    time.sleep(1.05)


def test_json_server(pipeline: Pipeline, database: Database) -> None:
    """The next page is in the Link header; a filter, whose ends are both included, finds what changed."""
    reading(pipeline, database.url, BY_LINK, cursor_resolution=1)
    assert [each["id"] for each in run(pipeline)] == [*range(COUNT)]
    assert database.asked() == [f"/items?_limit=40&_page={number}&_sort=id" for number in range(1, PAGES + 1)]
    assert run(pipeline) == []
    changed = (3, 44, COUNT - 1)
    change(database, changed)
    assert [(each["id"], each["name"]) for each in run(pipeline)] == [(number, "changed") for number in changed]
    assert run(pipeline) == []


@pytest.mark.parametrize("is_increment", [False, True])
@pytest.mark.parametrize("runner", ["stream", "thread", "process"])
def test_a_run_that_is_killed_continues_in_the_list_of_json_server(
    pipeline: Pipeline, database: Database, runner: str, is_increment: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading(pipeline, database.url, BY_LINK, source_file_path=KILLED, cursor_resolution=1)
    pipeline.destination(buffer_size=0)
    expected = [*range(COUNT)]
    if is_increment:
        run(pipeline)
        expected += expected[50:180]
        change(database, expected[COUNT:])
    before, kills = len(database.asked()), (2, 2)  # pages, of one process each
    for kill in kills:
        monkeypatch.setenv("KILL_AT", str(kill))
        pipeline.run("--runner", runner, expect=1 if runner == "process" else -signal.SIGKILL)
    monkeypatch.delenv("KILL_AT")
    pipeline.run("--runner", runner)
    assert [each["id"] for each in records(pipeline)] == expected
    pages = [page for page in database.asked()[before:] if "_page=1&" not in page]  # each start asks for a first page
    if runner == "stream":  # the others read ahead of what is written
        assert len(pages) - len(set(pages)) <= len(kills)


@pytest.fixture(scope="module")
def parameters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parameters]:
    with real_servers.systems_manager(tmp_path_factory.mktemp("moto")) as found:
        yield found


def test_a_token_in_the_body_of_signed_requests(pipeline: Pipeline, parameters: Parameters) -> None:
    """AWS Systems Manager as moto plays it: ten parameters on a page, the token of the next one in the answer, and
    nothing to ask for what changed."""
    names = [f"/shop/{number:02}" for number in range(25)]
    for name in names:
        parameters.put(name, "1")
    (pipeline.folder / "signer.py").write_text(real_servers.SIGNER)
    endpoint = {
        "path": "/",
        "method": "POST",
        "headers": {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "AmazonSSM.DescribeParameters"},
        "json": {"MaxResults": 10},
        "records": "Parameters",
        "id": "Name",
        "timestamp": "LastModifiedDate",
        "pages": {"type": "cursor", "where": "json", "param": "NextToken", "next": "NextToken"},
        "incremental": {"cursor_field": "LastModifiedDate", "cursor_format": "epoch"},
    }
    signing = {"file": "signer.py", "params": {"key_id": "a-key-id", "key": "a-secret-key-of-aws"}}
    reading(pipeline, parameters.url, endpoint, signing=signing)
    assert [each["Name"] for each in run(pipeline)] == names
    assert run(pipeline) == []
    parameters.put(names[7], "2")
    (changed,) = run(pipeline)
    assert (changed["Name"], changed["Version"]) == (names[7], 2)
    assert run(pipeline) == []
