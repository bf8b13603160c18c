"""A destination as `bizon destination new` writes it, in a run that is stopped by SIGSTOP for longer than its lease:
another run takes over, and the first is thawed. Every record is there once.
"""

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from e2e.crash.crash_kit import Rig, Row
from e2e.crash.test_freeze_matrix import ends_by_itself, frozen_at

from bizon.scaffold.destination import Style, destination_files
from bizon.scaffold.files import Place, write_files
from bizon.scaffold.names import names_of

POINTS = ["before_prepare", "after_prepare", "after_write:2", "after_cursor:2", "after_verify", "before_finalize"]
CASES = [("table", "incremental", "after_write:2"), ("table", "full_refresh", "before_finalize")]
CASES += [("files", "incremental", "after_write:2")]
LONG = [
    (style, mode, point) for style in ("table", "files") for mode in ("incremental", "full_refresh") for point in POINTS
]


class LedgerRig(Rig):
    """The paged source into a destination from a user's file."""

    style = "table"

    @property
    def destination_block(self) -> dict[str, Any]:
        place = {"table": {"database_path": "out.db"}, "files": {"folder": "out"}}[self.style]
        keys = {"destination_file_path": "ledger_destination.py", "destination_id": "items", "buffer_size": 0}
        return {"name": "custom", "config": {**keys, **place}}

    def rows(self) -> list[Row]:
        if self.style == "table":
            with closing(sqlite3.connect(self.folder / "out.db")) as database:
                return sorted(database.execute("SELECT id, version FROM items"))
        return sorted((record["id"], record["version"]) for record in map(json.loads, self.texts()))

    def texts(self) -> list[str]:
        folder = self.folder / "out"
        parts = json.loads((folder / "items.manifest.json").read_bytes())["parts"]
        lines = [line for part in parts for line in (folder / part["name"]).read_text().splitlines()]
        return [json.loads(line)["source_data"] for line in lines]


def build(folder: Path, style: str, mode: str) -> LedgerRig:
    """A pipeline that has published version 1, and whose source has version 2 now."""
    write_files(folder, destination_files(names_of("ledger"), Style(style), Place.FILE))
    rig = LedgerRig(folder, mode, "json")
    rig.style = style
    assert rig.run() == 0, rig.log()
    rig.change()
    return rig


def check(folder: Path, style: str, mode: str, point: str) -> None:
    rig = build(folder, style, mode)
    with frozen_at(rig, point) as frozen:
        assert rig.run() == 0, rig.log()
        assert rig.rows() == rig.expected()
        assert ends_by_itself(frozen) == 1, rig.log()
    assert rig.rows() == rig.expected()
    assert "Traceback" not in rig.log()
    assert rig.run() == 0, rig.log()


@pytest.mark.parametrize(("style", "mode", "point"), CASES)
def test_a_run_thawed_after_another_has_ended_changes_nothing(
    tmp_path: Path, style: str, mode: str, point: str
) -> None:
    check(tmp_path, style, mode, point)


@pytest.mark.matrix(share=20)
@pytest.mark.parametrize(("style", "mode", "point"), [case for case in LONG if case not in CASES])
def test_at_every_point(tmp_path: Path, style: str, mode: str, point: str) -> None:
    check(tmp_path, style, mode, point)


def test_a_second_pipeline_and_a_lost_state_are_refused(tmp_path: Path) -> None:
    rig = build(tmp_path, "table", "incremental")
    before = rig.rows()
    os.rename(tmp_path / "state.sqlite3", tmp_path / "lost.sqlite3")
    assert rig.run() == 1
    assert "its state knows of no run" in rig.log()
    command = rig.command()
    text = (tmp_path / "config.yml").read_text()
    (tmp_path / "config.yml").write_text(text.replace("name: pipe", "name: other"))
    rig.command = lambda *flags: [*command, *flags]  # type: ignore[method-assign]
    assert rig.run() == 1
    assert "belongs to pipeline 'pipe'" in rig.log()
    assert "Traceback" not in rig.log()
    assert rig.rows() == before
