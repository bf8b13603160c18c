"""A run that is killed inside of a table: the server counts the rows that it reads again."""

import signal
import time
from pathlib import Path

import pytest
from connectors.sources.sql.sql_kit import created, postgres_url
from connectors.sources.sql.test_sql_runs import SOURCE, committed
from e2e.conftest import Pipeline
from postgres import Place

ROWS, PAGE = 4_000, 100
KILLS = (15, 12)  # requests of the process, each for a page
READ = """
SELECT seq_tup_read + idx_tup_fetch, (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
    AND pid <> pg_backend_pid() AND backend_type = 'client backend')
FROM pg_stat_user_tables WHERE relname = 'items' AND schemaname = current_schema()
"""


def rows_read(place: Place, at_least: int = 0) -> int:
    """The rows of the table that the server has read so far, once every session has reported its own."""
    for _ in range(200):
        ((found, sessions),) = place.rows(READ)
        if not sessions and found >= at_least:
            return found
        time.sleep(0.05)
    raise AssertionError(f"{sessions} sessions stay open")


def pipeline_in(folder: Path, url: str, name: str) -> Pipeline:
    folder.mkdir()
    made = Pipeline(folder)
    made.config |= {"name": name}
    made.config["source"] = {"name": "sql", "stream": "items", "source_file_path": str(SOURCE)}
    return made.source(url=url, page_size=PAGE).destination(buffer_size=0)


@pytest.mark.matrix(share=4)
@pytest.mark.parametrize("runner", ["thread", "stream"])
def test_a_kill_inside_of_a_table_costs_one_page(
    tmp_path: Path, postgres: Place, runner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    created(postgres).rows("CREATE TABLE items (id int PRIMARY KEY, name text)")
    postgres.rows(f"INSERT INTO items SELECT n, 'name' FROM generate_series(1, {ROWS}) n")
    postgres.rows("VACUUM ANALYZE items")
    url = postgres_url(postgres) + "%20-cenable_seqscan%3Doff"  # as the planner reads a larger table
    before = rows_read(postgres)
    pipeline_in(tmp_path / "whole", url, "whole").run("--runner", runner)
    whole = rows_read(postgres, before + ROWS) - before

    killed = pipeline_in(tmp_path / "killed", url, "killed")
    for kill in KILLS:
        monkeypatch.setenv("KILL_AT", str(kill))
        killed.run("--runner", runner, expect=-signal.SIGKILL)
        monkeypatch.setenv("COMMITTED", str(committed(killed.folder)))
    monkeypatch.delenv("KILL_AT")
    killed.run("--runner", runner)
    assert killed.ids() == list(range(1, ROWS + 1))
    again = rows_read(postgres, before + whole + ROWS) - before - 2 * whole
    assert again <= len(KILLS) * 2 * PAGE, f"{again} of {whole} rows were read again"
