"""Real runs: killed inside of a table, resumed, started over, and listed."""

import json
import random
import signal
import sqlite3
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pytest
from connectors.sources.sql.sql_kit import created, numbers, postgres_url, sqlite_file
from e2e.conftest import Pipeline
from mariadb import MariaDb
from postgres import Place

pytestmark = pytest.mark.matrix(share=8)

SOURCE = Path(__file__).with_name("killed_source.py")
ROWS = 50
CREATE = "CREATE TABLE items (id INTEGER PRIMARY KEY, name VARCHAR(20), seen {kind})"
INSERT = "INSERT INTO items SELECT n, 'name', '2024-05-01 10:00:00' FROM {numbers}"


@pytest.fixture(params=["sqlite", "duckdb", "postgres", "mariadb"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a database of each kind, with a table of 50 rows."""
    if request.param == "sqlite":
        recursive = "WITH RECURSIVE c(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM c WHERE n < 49) "
        insert = INSERT.format(numbers="c").replace("SELECT", f"{recursive}SELECT", 1)
        return sqlite_file(tmp_path / "shop.db", CREATE.format(kind="TEXT"), insert)
    if request.param == "duckdb":
        with duckdb.connect(str(tmp_path / "shop.duckdb")) as connection:
            connection.execute(CREATE.format(kind="TIMESTAMP"))
            connection.execute(INSERT.format(numbers="range(50) r(n)"))
        return f"duckdb:///{tmp_path / 'shop.duckdb'}"
    if request.param == "postgres":
        place: Place = request.getfixturevalue("postgres")
        created(place).rows(CREATE.format(kind="TIMESTAMPTZ"))
        insert = INSERT.format(numbers="generate_series(0, 49) n")
        place.rows(insert.replace("'2024", "timestamptz '2024"))
        return postgres_url(place)
    server: MariaDb = request.getfixturevalue("mariadb")
    server.run(CREATE.format(kind="DATETIME"))
    server.run(INSERT.format(numbers="(SELECT seq AS n FROM seq_0_to_49) s"))
    return server.url


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    made = Pipeline(tmp_path)
    made.config["source"] = {"name": "sql", "stream": "items", "source_file_path": str(SOURCE), "page_size": 6}
    return made.destination(buffer_size=0)


def asked(folder: Path) -> list[str]:
    return (folder / "asked").read_text().splitlines()


def committed(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "state.sqlite3")) as state:
        return state.execute("SELECT count(*) FROM destination_cursors").fetchone()[0]


@pytest.mark.parametrize("mode", ["full_refresh", "incremental"])
def test_a_kill_inside_of_a_table_costs_at_most_one_page(
    pipeline: Pipeline, url: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.source(url=url, sync_mode=mode, cursor_field="seen" if mode == "incremental" else None)
    for at in (3, 2):
        monkeypatch.setenv("KILL_AT", str(at))
        pipeline.run(expect=-signal.SIGKILL)
        monkeypatch.setenv("COMMITTED", str(committed(pipeline.folder)))
        assert not (pipeline.folder / "out.json").exists()
    monkeypatch.delenv("KILL_AT")
    done = pipeline.run()
    assert "Resuming job" in done.stderr
    assert pipeline.ids() == list(range(ROWS))
    counts = Counter(asked(pipeline.folder))
    assert len(counts) == -(-ROWS // 6)
    assert max(counts.values()) == 2  # each kill fell on one page, which was asked for again
    assert sum(counts.values()) == len(counts) + 2


@pytest.mark.parametrize("seed", range(2))
def test_kills_at_random_lose_and_double_nothing(pipeline: Pipeline, url: str, seed: int) -> None:
    pipeline.source(url=url, page_size=1)
    chance = random.Random(seed)
    for _ in range(3):
        process = pipeline.start()
        time.sleep(chance.uniform(0.3, 1.2))
        process.kill()
        process.communicate()
    pipeline.run()
    assert pipeline.ids() == list(range(ROWS))


def test_an_incremental_run_that_was_killed_continues_in_its_window(
    pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = sqlite_file(tmp_path / "shop.db", CREATE.format(kind="TEXT"))
    pipeline.source(url=url, sync_mode="incremental", cursor_field="seen")
    sqlite_file(tmp_path / "shop.db", "INSERT INTO items VALUES (1000, 'first', '2024-05-01 10:00:00')")
    pipeline.run()
    monkeypatch.setenv("COMMITTED", str(committed(pipeline.folder)))
    now = "strftime('%Y-%m-%d %H:%M:%S', 'now')"
    rows = [(number, name) for number, name in numbers(ROWS)]
    sqlite_file(tmp_path / "shop.db", rows=rows, insert=f"INSERT INTO items VALUES (?, ?, {now})")
    time.sleep(1.1)
    monkeypatch.setenv("KILL_AT", "4")
    pipeline.run(expect=-signal.SIGKILL)
    sqlite_file(tmp_path / "shop.db", f"INSERT INTO items VALUES (2000, 'meanwhile', {now})")
    time.sleep(1.1)
    monkeypatch.delenv("KILL_AT")
    pipeline.run()
    assert sorted(pipeline.ids()) == [*range(ROWS), 1000]
    pipeline.run()
    assert sorted(pipeline.ids()) == [*range(ROWS), 1000, 2000]
    assert "0 records" in pipeline.run().stdout


@pytest.mark.parametrize("mode", ["full_refresh", "incremental"])
def test_a_stream_without_a_key_starts_over_after_a_kill(
    pipeline: Pipeline, url: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.source(url=url, sync_mode=mode, cursor_field="seen" if mode == "incremental" else None)
    pipeline.source(stream="keyless", queries={"keyless": "SELECT id, seen FROM items"})
    monkeypatch.setenv("KILL_AT", "4")
    first = pipeline.run(expect=-signal.SIGKILL)
    assert "The stream has no primary key: it is read by one cursor" in first.stderr
    monkeypatch.delenv("KILL_AT")
    done = pipeline.run()
    assert "is cancelled: its source cannot continue in the middle of the stream" in done.stderr
    records = [json.loads(line["source_data"]) for line in pipeline.lines()]
    assert sorted(record["id"] for record in records) == list(range(ROWS))


def test_the_process_runner(pipeline: Pipeline, url: str) -> None:
    pipeline.source(url=url, source_file_path=None).set("engine.runner.type", "process")
    pipeline.run()
    assert pipeline.ids() == list(range(ROWS))


def test_a_window_of_the_past(pipeline: Pipeline, tmp_path: Path) -> None:
    rows = [(number, "name", f"2024-05-{number:02d} 10:00:00") for number in range(1, 10)]
    insert = "INSERT INTO items VALUES (?, ?, ?)"
    url = sqlite_file(tmp_path / "shop.db", CREATE.format(kind="TEXT"), rows=rows, insert=insert)
    pipeline.source(url=url, sync_mode="incremental", cursor_field="seen", source_file_path=None)
    pipeline.run()
    pipeline.run("--since", "2024-05-03T10:00:00Z", "--until", "2024-05-05T10:00:00Z")
    assert sorted(pipeline.ids()) == sorted([*range(1, 10), 3, 4])
    assert "0 records" in pipeline.run().stdout


def listing(pipeline: Pipeline) -> list[str]:
    return pipeline.bizon("stream", "list", "config.yml").stdout.splitlines()


def test_stream_list_shows_tables_views_and_queries_with_estimates(pipeline: Pipeline, tmp_path: Path) -> None:
    view, keyless = "CREATE VIEW v AS SELECT * FROM items", "CREATE TABLE notes (text)"
    rows = list(numbers(1235))
    insert = "INSERT INTO items VALUES (?, ?, NULL)"
    url = sqlite_file(tmp_path / "shop.db", CREATE.format(kind="TEXT"), view, keyless, rows=rows, insert=insert)
    pipeline.source(url=url, stream="not-there-yet", queries={"few": "SELECT 1"}, source_file_path=None)
    assert listing(pipeline) == [
        "Available streams for sql:",
        "[Supports incremental] - few (query)",
        "[Supports incremental] - items (table, about 1,234 records)",
        "[Supports incremental] - notes (table without a primary key, about 0 records)",
        "[Supports incremental] - v (view)",
    ]
    sqlite_file(tmp_path / "shop.db", "INSERT INTO notes VALUES ('x')", "ANALYZE")
    assert "about 1 record)" in listing(pipeline)[3]


def test_stream_list_of_servers(pipeline: Pipeline, postgres: Place, mariadb: MariaDb) -> None:
    created(postgres).rows(CREATE.format(kind="DATE"))
    postgres.rows("INSERT INTO items (id) SELECT generate_series(1, 2000)")
    postgres.rows("CREATE MATERIALIZED VIEW m AS SELECT * FROM items")
    postgres.rows("ANALYZE items")
    pipeline.source(url=postgres_url(postgres), source_file_path=None)
    _, table, view, *_ = listing(pipeline)
    assert table == "[Supports incremental] - items (table, about 2,000 records)"
    assert view == "[Supports incremental] - m (view)"
    mariadb.run(CREATE.format(kind="DATE"))
    pipeline.source(url=mariadb.url)
    assert listing(pipeline)[1] == "[Supports incremental] - items (table, about 0 records)"


def test_stream_list_of_a_source_whose_streams_are_known(pipeline: Pipeline) -> None:
    token: dict[str, Any] = {"type": "api_key", "params": {"token": "a-token"}}
    pipeline.config["source"] = {"name": "dummy", "stream": "creatures", "authentication": token}
    assert listing(pipeline) == [
        "Available streams for dummy:",
        "[Full refresh only] - creatures",
        "[Full refresh only] - plants",
    ]


def test_stream_list_of_a_database_that_is_not_there(pipeline: Pipeline) -> None:
    pipeline.source(url="sqlite:///nowhere.db", source_file_path=None)
    done = pipeline.bizon("stream", "list", "config.yml", expect=1)
    assert "Error: there is no file" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_source_is_listed_without_its_streams(pipeline: Pipeline) -> None:
    lines = pipeline.bizon("source", "list").stdout.splitlines()
    assert "sql - [see `bizon stream list CONFIG`]" in lines
    assert "that a configuration names" in pipeline.bizon("stream", "list", "sql").stdout


def test_a_preview_reads_one_page(pipeline: Pipeline, url: str) -> None:
    pipeline.source(url=url)
    assert "name" in pipeline.bizon("preview", "config.yml").stdout
    assert len(asked(pipeline.folder)) < 5


def test_an_unknown_stream_ends_the_run_before_anything_is_fetched(pipeline: Pipeline, url: str) -> None:
    done = pipeline.source(url=url, stream="itms").run(expect=1)
    assert "there is no table, view or query 'itms'; did you mean 'items'?" in done.stderr
    assert "Traceback" not in done.stderr
