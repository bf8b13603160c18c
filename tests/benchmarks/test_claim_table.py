"""Every row does its work, at a size too small for meaningful figures."""

from pathlib import Path

import psycopg
import pytest
from servers import server_or_skip

from benchmarks import stages
from benchmarks.claim_table import TABLE, TableRow
from benchmarks.claims_records import bare_loop
from benchmarks.measure import CommandFailed, fresh_folder, run
from benchmarks.work.postgres import url
from benchmarks.workload import TINY, Bench, lines_are, pipeline

NEED_INSTALLATION = {"duckdb", "install", "peers", "postgres", "sling"}
PEERS_BESIDE = {"sql"}
"""Rows some of whose sides need installation."""
ON_POSTGRES = {"merges", "postgres-copy", "sources-memory", "sql", "tables-memory"}
ABSENT = {"bigquery-memory": "BigQuery: its emulator is not installed", "queues": "no RabbitMQ at "}
"""The reason that a row gives when its server is not available."""


def postgres_or_skip() -> None:
    """Skip the test where no Postgres accepts the connections of the benchmarks."""
    try:
        psycopg.connect(url(), connect_timeout=5).close()
    except psycopg.OperationalError as error:
        server_or_skip("Postgres", str(error))


@pytest.mark.matrix(share=12)
@pytest.mark.parametrize("row", [row for row in TABLE if row.name not in NEED_INSTALLATION], ids=lambda row: row.name)
def test_a_row_does_its_work(row: TableRow, tmp_path: Path) -> None:
    if row.name in ON_POSTGRES:
        postgres_or_skip()
    bench = Bench(TINY, 1, tmp_path, may_install=False, short_runs=1)
    claims = row.measure(bench)
    absent = next((claim.reason for claim in claims if claim.figure is None), "")
    if row.name in ABSENT and ABSENT[row.name] in absent:
        server_or_skip(row.name, absent)
    if row.name in PEERS_BESIDE:
        claims = [claim for claim in claims if "not installed" not in claim.reason]
        bench.failures = {side: why for side, why in bench.failures.items() if "not installed" not in why}
    assert bench.failures == {}
    assert claims
    assert all(claim.figure is not None for claim in claims)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", sorted(NEED_INSTALLATION))
def test_a_row_that_may_not_install_its_packages_is_not_run(name: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("benchmarks.environments.ENVIRONMENTS", tmp_path / "none")
    (row,) = (row for row in TABLE if row.name == name)
    claims = row.measure(Bench(TINY, 1, tmp_path, may_install=False, short_runs=1))
    assert {claim.verdict for claim in claims} == {"not run"}
    assert all("not installed" in claim.reason for claim in claims)


def test_the_stages_of_a_run_are_measured_separately(tmp_path: Path) -> None:
    rows = stages.measure(TINY, tmp_path)
    assert {name for name, run in rows.items() if run["stages"]["fetch"][0] > 0 < run["stages"]["write"][0]} == {*rows}
    table = stages.render({"measured_at": "2026-01-01", "rows": rows})
    assert {line.count("|") for line in table.splitlines()[2:]} == {len(rows) + 2}


def test_names_of_rows_and_of_their_claims_are_unique() -> None:
    assert len({row.name for row in TABLE}) == len(TABLE)


def test_both_sides_of_the_first_row_write_the_same_records(tmp_path: Path) -> None:
    import orjson

    outputs = []
    for command in (pipeline(5), bare_loop(5)):
        with fresh_folder(tmp_path) as folder:
            run(command, folder)
            outputs.append([orjson.loads(line) for line in (folder / "out.json").read_bytes().splitlines()])
    ours, bare = outputs
    assert [orjson.loads(row["source_data"]) for row in ours] == bare


def test_an_output_that_lacks_a_record_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "out.json").write_text("{}\n{}\n")
    lines_are("out.json", 2)(tmp_path)
    with pytest.raises(CommandFailed, match="2 lines instead of 3"):
        lines_are("out.json", 3)(tmp_path)
