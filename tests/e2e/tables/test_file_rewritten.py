"""A Parquet file that another tool has rewritten, between runs and under one, as an owner of a table changes it."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from e2e.faults import fault, noted, release
from e2e.tables.test_file_commands import FileTable

WaitFor = Callable[[Callable[[], bool]], None]
Change = Callable[[pl.DataFrame], pl.DataFrame]
FIRST = [{"id": "p1", "a": 1, "b": "x", "c": {"d": 1}}]
NEXT = [{"id": "q1", "a": 2, "b": "y", "c": {"d": 2}}, {"id": "q2", "a": "text"}]
MODES = ["full_refresh", "incremental"]
CURSOR = {"cursor_field": "changed"}


@pytest.fixture
def table(tmp_path: Path) -> FileTable:
    return FileTable(tmp_path, "parquet")


def rewrite(table: FileTable, change: Change) -> None:
    change(pl.read_parquet(table.path, glob=False)).write_parquet(table.path)


def as_text(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.col("a").cast(pl.String))


@pytest.mark.matrix(share=40, pool="tables by the command")
@pytest.mark.parametrize("mode", MODES)
class TestBetweenRuns:
    """The file is the truth: a run begins with the columns that it has."""

    def load(self, table: FileTable, mode: str, change: Change) -> dict[str, dict[str, object]]:
        """The rows after a run, a change of the file, and another run, whose records are in any case there."""
        table.source(sync_mode=mode, **CURSOR)
        table.load(FIRST)
        rewrite(table, change)
        table.load(NEXT)
        rows = table.rows()
        assert [*rows] == (["p1", "q1", "q2"] if mode == "incremental" else ["q1", "q2"])
        return rows

    def test_a_column_that_was_dropped_comes_back_at_the_end(self, table: FileTable, mode: str) -> None:
        rows = self.load(table, mode, lambda frame: frame.drop("b"))
        assert table.columns() == {"id": "text", "a": "int64", "c": "json", "b": "text"}
        assert rows["q1"] == NEXT[0]
        assert rows.get("p1", {}) in ({}, {"id": "p1", "a": 1, "c": {"d": 1}})
        assert table.rescued() == {"q2": {"a": "text"}}

    def test_a_column_that_was_dropped_does_not_come_back_before_a_record_has_it(
        self, table: FileTable, mode: str
    ) -> None:
        table.source(sync_mode=mode, **CURSOR)
        table.load(FIRST)
        rewrite(table, lambda frame: frame.drop("b"))
        table.load([{"id": "q1", "a": 2}])
        assert table.columns() == {"id": "text", "a": "int64", "c": "json"}

    def test_a_column_that_became_text_takes_text_and_numbers_are_rescued(self, table: FileTable, mode: str) -> None:
        rows = self.load(table, mode, as_text)
        assert table.columns()["a"] == "text"
        assert rows["q2"] == NEXT[1]
        assert rows.get("p1", {"a": "1"})["a"] == "1"
        assert table.rescued() == {"q1": {"a": 2}}

    @pytest.mark.parametrize("narrow", [pl.Int32, pl.UInt8])
    def test_integers_that_became_narrower_are_as_wide_as_before(
        self, table: FileTable, mode: str, narrow: type[pl.DataType]
    ) -> None:
        rows = self.load(table, mode, lambda frame: frame.with_columns(pl.col("a").cast(narrow)))
        assert table.columns()["a"] == "int64"
        assert (rows["q1"]["a"], rows.get("p1", {"a": 1})["a"]) == (2, 1)

    def test_a_column_of_a_type_that_no_value_has_takes_none_until_its_rows_are_replaced(
        self, table: FileTable, mode: str
    ) -> None:
        table.source(sync_mode=mode, **CURSOR)
        table.load(FIRST)
        rewrite(table, lambda frame: frame.with_columns(a=pl.concat_list("a")))
        table.load(NEXT)
        found = pl.read_parquet(table.path)
        values = dict(found.select("id", "a").rows())
        if mode == "incremental":
            assert values == {"p1": [1], "q1": None, "q2": None}
            assert table.rescued() == {"q1": {"a": 2}, "q2": {"a": "text"}}
        else:
            assert values == {"q1": "2", "q2": '"text"'}
            assert table.rescued() == {}
        assert dict(found.select("id", "b").rows())["q1"] == "y"

    def test_a_column_that_somebody_added_stays(self, table: FileTable, mode: str) -> None:
        self.load(table, mode, lambda frame: frame.with_columns(note=pl.lit("mine")))
        found = dict(pl.read_parquet(table.path).select("id", "note").rows())
        assert {id_: note for id_, note in found.items() if note} == ({"p1": "mine"} if mode == "incremental" else {})
        assert pl.read_parquet_schema(table.path)["note"] == pl.String

    def test_columns_in_another_order_keep_it(self, table: FileTable, mode: str) -> None:
        rows = self.load(table, mode, lambda frame: frame.select(reversed(frame.columns)))
        assert [*table.columns()] == ["c", "b", "a", "id"]
        assert rows["q1"] == NEXT[0]


@pytest.mark.matrix(share=40, pool="tables by the command")
class TestUnderARun:
    """The rows are staged when the file changes."""

    def begin(self, table: FileTable, mode: str, wait_for: WaitFor, change: Change) -> tuple[int, str]:
        """A run under which the file changes; its exit code, and what it says."""
        table.source(sync_mode=mode, **CURSOR)
        table.load(FIRST)
        table.serve(NEXT, [])
        with fault(hold={"create_destination_cursor": 2}):
            child = table.start()
        wait_for(lambda: noted(table, "create_destination_cursor") != [])
        rewrite(table, change)
        release(table, "create_destination_cursor")
        said, _ = child.communicate(timeout=60)
        (table.folder / "fault.txt").unlink()
        return child.returncode, said

    @pytest.mark.parametrize("mode", MODES)
    def test_a_column_that_is_dropped_comes_back_with_the_staged_rows(
        self, table: FileTable, wait_for: WaitFor, mode: str
    ) -> None:
        exit_code, said = self.begin(table, mode, wait_for, lambda frame: frame.drop("b"))
        assert exit_code == 0, said
        found = {row["id"]: row for row in pl.read_parquet(table.path).rows(named=True)}
        assert [*found] == (["p1", "q1", "q2"] if mode == "incremental" else ["q1", "q2"])
        assert (found["q1"]["a"], found["q1"]["b"], found["q1"]["c"]) == (2, "y", '{"d":2}')
        assert table.rescued() == {"q2": {"a": "text"}}

    def test_a_type_that_does_not_take_the_staged_values_stops_the_publication(
        self, table: FileTable, wait_for: WaitFor
    ) -> None:
        exit_code, said = self.begin(table, "incremental", wait_for, as_text)
        assert exit_code == 1
        assert f"column 'a' of '{table.path}': String and Int64 have no type in common; undo the change of" in said
        changed = table.path.read_bytes()
        asked = table.trace()
        assert "column 'a' of" in table.run(expect=1).stderr
        assert table.path.read_bytes() == changed
        rewrite(table, lambda frame: frame.with_columns(pl.col("a").cast(pl.Int64)))
        table.run()
        assert table.trace() == asked, "the rows were staged"
        assert table.rows() == {"p1": FIRST[0], "q1": NEXT[0], "q2": {"id": "q2"}}
        assert table.rescued() == {"q2": {"a": "text"}}

    def test_a_full_refresh_replaces_whatever_is_there(self, table: FileTable, wait_for: WaitFor) -> None:
        exit_code, said = self.begin(table, "full_refresh", wait_for, as_text)
        assert exit_code == 0, said
        assert table.columns() == {"id": "text", "a": "int64", "b": "text", "c": "json"}
        assert table.rows() == {"q1": NEXT[0], "q2": {"id": "q2"}}
