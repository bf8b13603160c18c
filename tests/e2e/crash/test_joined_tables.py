"""Commands that share a job whose output is a table: one of them dies, another one finishes its part, and one
publishes. Each record is in the table once."""

import signal
from pathlib import Path
from typing import Any

import pytest
from e2e.bigquery.conftest import WarehouseRig
from e2e.crash.crash_kit import Rig
from e2e.crash.table_rig import TableRig
from e2e.crash.test_joined import JOIN, LONGEST, PAGES, PARTS, commands_of
from postgres import Place

SOURCE: dict[str, Any] = {"pages": PAGES, "partitions": PARTS, "delay": 0.02}
POINTS = ["after_prepare:2", "after_write:3", "after_cursor:4", "after_verify", "before_success"]
OVER = ["before_success"]
"""The table is the new one already."""


class PostgresTable(TableRig):
    """A pipeline into a table in a schema."""

    place: Place

    @property
    def destination_block(self) -> dict[str, Any]:
        where = {
            key: getattr(self.place, key) for key in ("host", "port", "username", "password", "database", "schema")
        }
        return {
            "name": "postgres",
            "config": {**where, "destination_id": "items", "buffer_size": 0, **self.destination},
        }

    def rows(self) -> list[tuple[int, int]] | None:
        if "items" not in self.tables():
            return None
        return [
            (int(id_), int(version)) for id_, version in self.place.rows("SELECT id, version FROM items ORDER BY 1, 2")
        ]

    def tables(self) -> list[str]:
        found = self.place.rows("SELECT tablename FROM pg_tables WHERE schemaname = %s ORDER BY 1", self.place.schema)
        return [name for (name,) in found]

    def leftovers(self) -> list[str]:
        return [name for name in self.tables() if name not in ("items", "_bizon_outputs")]


def into_postgres(folder: Path, place: Place, how: str) -> PostgresTable:
    """A pipeline that has published version 1, and whose source has version 2 now. ``how``: rows meet the table."""
    place.rows(f"CREATE SCHEMA {place.quoted_schema}")
    rig = PostgresTable(folder, "full_refresh", "json", **SOURCE)
    rig.place, rig.destination = place, {}
    rig.write_by(how)
    assert rig.run(None, JOIN) == 0, rig.log()
    rig.change()
    return rig


def finish(rig: Rig, point: str) -> None:
    """Three commands work on a job, one of them dies at a point, and those that are left finish the job."""
    old = rig.rows()
    assert old is not None
    with commands_of(rig, 2) as others, rig.started(point, JOIN) as killed:
        ended = [each.wait(LONGEST) for each in (killed, *others)]
    assert set(ended) <= {0, -signal.SIGKILL}, rig.log()
    if rig.statuses() != ["succeeded"] * 2:
        assert rig.rows() in (old, rig.expected())
        assert rig.run(None, JOIN) == 0, rig.log()
    check(rig)


def check(rig: Rig) -> None:
    assert rig.rows() == rig.expected()
    assert set(rig.statuses()) == {"succeeded"}, rig.log()
    assert rig.leftovers() == []
    assert "Traceback" not in rig.log()


@pytest.mark.matrix(share=10)
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("how", ["append", "merge"])
def test_a_table_of_postgres_has_each_record_once_after_a_command_died(
    tmp_path: Path, postgres: Place, how: str, point: str
) -> None:
    finish(into_postgres(tmp_path, postgres, how), point)


@pytest.mark.matrix(share=10)
@pytest.mark.parametrize("point", POINTS)
def test_the_only_command_of_a_table_dies_and_the_next_one_goes_on(tmp_path: Path, postgres: Place, point: str) -> None:
    rig = into_postgres(tmp_path, postgres, "append")
    old = rig.rows()
    assert rig.run(point, JOIN) == -signal.SIGKILL, rig.log()
    assert rig.rows() == (rig.expected() if point in OVER else old)
    assert rig.run(None, JOIN) == 0, rig.log()
    check(rig)


@pytest.mark.matrix(share=8)
@pytest.mark.parametrize("point", ["after_write:3", "after_cursor:4"])
@pytest.mark.parametrize("destination", ["bigquery", "bigquery_inferred"])
def test_a_table_of_bigquery_has_each_record_once_after_a_command_died(
    tmp_path: Path, warehouse: Any, destination: str, point: str
) -> None:
    rig = WarehouseRig(tmp_path, warehouse, destination, "full_refresh", **SOURCE)
    assert rig.run(None, JOIN) == 0, rig.log()
    check(rig)
    rig.change()
    finish(rig, point)
