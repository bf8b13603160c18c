"""``bizon show`` and ``bizon schema`` over the table of a destination, through the real command."""

from abc import abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import pytest
from e2e.tables.table_kit import Table

BIG = 123456789012345678901234567
RECORDS: list[dict[str, Any]] = [
    {"id": "p1", "n": 2**62 + 1, "big": BIG, "at": "2024-01-01T00:00:00.5+01:00", "yes": True, "object": {"a": [1]}},
    {"id": "p2", "n": 2, "big": 7, "share": 0.5, "text": "a,b\n'q' \"d\"", "day": "2024-02-03"},
    {"id": "p3"},
]
LOOKS = (["show"], ["show", "--json"], ["schema", "show"], ["schema", "show", "--json"])


class LookCases:
    """The tests change the table by the command alone, and look at it as its users do."""

    types: dict[str, str]
    """The names of the engine for the types of some columns."""
    writes: Sequence[str]
    """Statements that would change something, besides the usual ones."""

    @pytest.fixture
    def loaded(self, table: Table) -> Table:
        """The table of a pipeline that has run."""
        table.load(RECORDS)
        return table

    def test_rows_are_shown_as_they_are_stored(self, loaded: Table) -> None:
        document = loaded.document("show", "config.yml")
        assert (document["table"], document["count"], document["more"]) == ("items", 3, False)
        first, second, third = sorted(document["rows"], key=lambda row: str(row["id"]))
        assert (first["n"], first["big"], first["yes"], first["object"]) == (2**62 + 1, BIG, True, {"a": [1]})
        assert first["at"].replace("T", " ").startswith("2023-12-31 23:00:00.5")
        assert (second["text"], str(second["share"]), second["day"]) == ("a,b\n'q' \"d\"", "0.5", "2024-02-03")
        assert third["n"] is third["text"] is third["object"] is None
        kinds = {column["name"]: column["type"] for column in document["columns"]}
        assert {name: kinds[name] for name in self.types} == self.types

    def test_a_look_shows_as_many_rows_as_are_wanted(self, loaded: Table) -> None:
        text = loaded.bizon("show", "config.yml", "-n", "2").stdout
        assert "items: 3 rows, " in text
        assert "(the first 2 rows)" in text
        assert max(map(len, text.splitlines())) <= 120
        document = loaded.document("show", "config.yml", "-n", "2")
        assert (len(document["rows"]), document["count"], document["more"]) == (2, 3, True)
        asked = loaded.document("show", "config.yml", "-n", "1", "--sql", "SELECT id, n FROM items ORDER BY n DESC")
        assert (asked["count"], asked["more"]) == (None, True)

    def test_a_query_is_answered(self, loaded: Table) -> None:
        query = "SELECT id, n, big, yes FROM items WHERE n > 2 ORDER BY id;"
        assert loaded.document("show", "config.yml", "--sql", query)["rows"] == [
            {"id": "p1", "n": 2**62 + 1, "big": BIG, "yes": True}
        ]
        text = loaded.bizon("show", "config.yml", "--sql", query).stdout
        assert "1 row, 4 columns" in text
        assert str(BIG) in text

    def test_columns_are_listed_with_type_and_origin(self, loaded: Table) -> None:
        document = loaded.document("schema", "show", "config.yml")
        found = {column["name"]: (column["type"], column["origin"]) for column in document["columns"]}
        assert {name: found[name] for name in self.types} == {name: (k, "inferred") for name, k in self.types.items()}
        assert {found[name][1] for name in ("_bizon_id", "_source_timestamp", "_bizon_rescued")} == {"system"}
        lines = loaded.bizon("schema", "show", "config.yml").stdout.splitlines()
        assert lines[0] == f"items: {len(found)} columns"
        assert [line.split()[0] for line in lines[3:]] == [*found]

    def test_the_changes_of_the_last_run_are_listed(self, loaded: Table) -> None:
        added = loaded.document("schema", "diff", "config.yml")["added"]
        assert {"name": "share", "type": "float64"} in added
        assert {column["name"] for column in added} == {*loaded.columns()}
        loaded.load([*RECORDS, {"id": "p4", "n": BIG, "more": True}])
        document = loaded.document("schema", "diff", "config.yml")
        assert document["state"] == "succeeded"
        assert document["added"] == [{"name": "more", "type": "boolean"}]
        assert [(each["name"], each["from"]) for each in document["widened"]] == [("n", "int64")]
        text = loaded.bizon("schema", "diff", "config.yml").stdout
        assert "Last run: succeeded, 1 column added, 1 widened" in text

    def test_a_statement_that_would_write_is_refused_and_nothing_changes(self, loaded: Table) -> None:
        before = loaded.snapshot()
        usual = ("DELETE FROM items WHERE TRUE", "DROP TABLE items", "UPDATE items SET n = 1 WHERE TRUE")
        usual += (
            "CREATE TABLE more AS SELECT 1 AS a",
            "INSERT INTO items (n) VALUES (1)",
            "SELECT 1; DROP TABLE items",
        )
        for sql in (*usual, *self.writes):
            done = loaded.bizon("show", "config.yml", "--sql", sql, expect=1)
            assert (done.stdout, len(done.stderr.splitlines())) == ("", 1), sql
            assert done.stderr.startswith("Error: "), sql
        assert loaded.snapshot() == before

    def test_a_table_that_does_not_exist_is_not_created(self, table: Table) -> None:
        before = table.snapshot()
        for words in LOOKS:
            done = table.bizon(*words, "config.yml", expect=1)
            assert (done.stdout, len(done.stderr.splitlines())) == ("", 1)
            assert "does not exist; a run of the pipeline creates it" in done.stderr
        assert "the state knows of no run" in table.bizon("schema", "diff", "config.yml", expect=1).stderr
        assert table.snapshot() == before


class ClosedCases:
    """A table that cannot be read now. Each look ends with exit code 1 and one line."""

    looks: Sequence[Sequence[str]] = LOOKS
    """Those that need a permission."""

    @abstractmethod
    def forbidden(self, table: Table) -> AbstractContextManager[str]:
        """Within: the table may not be read. Yields the words of the error."""

    @abstractmethod
    def unreachable(self, table: Table) -> AbstractContextManager[str]:
        """Within: nobody can reach the table. Yields the words of the error."""

    def test_a_missing_permission_is_named(self, table: Table) -> None:
        table.load(RECORDS)
        with self.forbidden(table) as said:
            self.expect_errors(table, said, self.looks)

    def test_a_place_that_is_unreachable_is_named_within_a_minute(self, table: Table) -> None:
        """A run repeats its requests for longer; here somebody waits at a terminal."""
        table.load(RECORDS)
        with self.unreachable(table) as said:
            self.expect_errors(table, said, LOOKS)

    def expect_errors(self, table: Table, said: str, looks: Sequence[Sequence[str]]) -> None:
        for words in looks:
            done = table.bizon(*words, "config.yml", expect=1)
            assert done.stdout == ""
            lines = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
            assert len(lines) == 1, done.stderr
            assert said in lines[0], done.stderr
            assert "Traceback" not in done.stderr
