"""``write_mode: merge`` without ``version``: which of two rows with a key is the newer one."""

import pytest
from e2e.tables.table_kit import Table

MERGE = {"write_mode": "merge", "primary_key": ["id"]}
FIRST = [{"id": "p1", "n": "new", "changed": "2024-02-01T00:00:00Z"}, {"id": "p2", "n": "a", "changed": None}]
LATE = [
    {"id": "p1", "n": "late", "changed": "2024-01-01T00:00:00Z"},
    {"id": "p2", "n": "b"},
    {"id": "p3", "n": "x", "changed": "2024-01-03T00:00:00+01:00"},
    {"id": "p3", "n": "older", "changed": "2024-01-02T00:00:00Z"},
]
CURSOR = {"cursor_field": "changed"}


class MergeCases:
    """In sync mode stream, each row meets the table as it arrives."""

    def load(self, table: Table, mode: str, *pages: list[dict[str, object]]) -> dict[str, object]:
        """Key and value of the rows, after a run with these pages."""
        more = {"max_iterations": len(pages)} if mode == "stream" else {"max_iterations": None}
        table.source(sync_mode=mode, **more)
        table.load(*pages)
        return {id_: row["n"] for id_, row in table.rows_by("id").items()}

    @pytest.mark.parametrize("mode", ["full_refresh", "incremental", "stream"])
    def test_the_cursor_field_is_the_version(self, table: Table, mode: str) -> None:
        table.source(**CURSOR)
        table.destination(**MERGE)
        assert self.load(table, mode, FIRST, LATE) == {"p1": "new", "p2": "b", "p3": "x"}

    def test_the_cursor_field_is_the_version_in_later_runs(self, table: Table) -> None:
        table.source(**CURSOR)
        table.destination(**MERGE)
        assert self.load(table, "incremental", FIRST) == {"p1": "new", "p2": "a"}
        for _ in range(2):
            assert self.load(table, "incremental", LATE) == {"p1": "new", "p2": "b", "p3": "x"}
        newer = [{"id": "p1", "n": "newest", "changed": "2024-02-01T00:00:00.000001Z"}]
        assert self.load(table, "incremental", newer) == {"p1": "newest", "p2": "b", "p3": "x"}

    @pytest.mark.parametrize("mode", ["full_refresh", "stream"])
    def test_without_a_cursor_field_the_row_that_arrived_last_wins(self, table: Table, mode: str) -> None:
        table.destination(**MERGE)
        assert self.load(table, mode, FIRST, LATE) == {"p1": "late", "p2": "b", "p3": "older"}

    def test_a_version_wins_over_the_cursor_field(self, table: Table) -> None:
        table.source(**CURSOR)
        table.destination(**MERGE, version="n")
        assert self.load(table, "incremental", FIRST) == {"p1": "new", "p2": "a"}
        assert self.load(table, "incremental", LATE) == {"p1": "new", "p2": "b", "p3": "x"}
        assert self.load(table, "incremental", [{"id": "p1", "n": "z", "changed": "2001-01-01T00:00:00Z"}])["p1"] == "z"

    @pytest.mark.parametrize("key", ["no_such_key", "_source_changed"])
    def test_a_cursor_field_without_a_column_is_warned_of(self, table: Table, key: str) -> None:
        """Each row counts as the oldest one, so the order of arrival decided without a word. A key whose name is
        reserved has no column, and ended the run with "names that begin with _bizon_ or _source_ are reserved"."""
        table.source(sync_mode="incremental", cursor_field=key)
        table.destination(**MERGE)
        said = table.serve(FIRST, LATE).run().stderr
        assert said.count(f"table 'items' has no column for '{key}', by which rows are compared") == 1
        assert {id_: row["n"] for id_, row in table.rows_by("id").items()} == {"p1": "late", "p2": "b", "p3": "older"}
        table.source(**CURSOR)
        assert "by which rows are compared" not in table.serve(LATE).run().stderr
