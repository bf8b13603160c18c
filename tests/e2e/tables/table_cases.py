"""Tests of the typed tables of every destination, through the real command. A class for each destination inherits
them, and supplies the table."""

import signal
from collections.abc import Callable, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from e2e.faults import fault, noted, release
from e2e.tables.table_kit import Table

WaitFor = Callable[[Callable[[], bool]], None]
NESTED: list[dict[str, Any]] = [
    {"id": "p1", "address": {"city": "Oslo", "geo": {"lat": 59.9, "at": {"z": 1}}}, "tags": [{"a": 1}], "none": {}},
    {"id": "p2", "address": {"city": "Rome", "zip": 187}, "address_zip": "taken"},
    {"id": "p3", "address": "no object"},
]
OLD = [{"id": "old", "a": 0}]
PAGES: list[list[dict[str, Any]]] = [
    [{"id": "p0", "a": 1}],
    [{"id": "q0", "a": 2, "b": "x"}],
    [{"id": "r0", "a": 3, "c": {"d": ["1.10"]}}],
    [],
]
NEW = {id_: {**page[0]} for id_, page in zip(("p0", "q0", "r0"), PAGES, strict=False)}
CHANGED = {**NEW, "r0": {**NEW["r0"], "c": []}}
"""After ``Table.damage`` with ``changed``."""
REMOVED = {id_: NEW[id_] for id_ in ("p0", "q0")}
OUTCOMES_OF_VERIFY = (
    ({"verify": "none"}, "removed", REMOVED),
    ({"verify": "none"}, "changed", CHANGED),
    ({}, "removed", None),
    ({}, "changed", CHANGED),
    ({"verify": "counts"}, "removed", None),
    ({"verify": "values"}, "removed", None),
    ({"verify": "values"}, "changed", None),
)
"""The keys of the destination, what happens to a row, and the table after it; None: the run fails. For tables with the
key ``verify``."""
STOPPED = "staging does not hold what was committed: pages 2-2 (1 rows): "


class FlattenCases:
    """``flatten``: the keys of objects become columns, level by level."""

    @pytest.mark.parametrize(
        ("levels", "columns", "first"),
        [
            (0, {"address": "json"}, {"address": NESTED[0]["address"]}),
            (
                1,
                {"address": "text", "address_city": "text", "address_geo": "json", "address_zip": "int64"},
                {"address_city": "Oslo", "address_geo": NESTED[0]["address"]["geo"]},
            ),
            (
                3,
                {
                    "address": "text",
                    "address_city": "text",
                    "address_geo_lat": "float64",
                    "address_geo_at_z": "int64",
                    "address_zip": "int64",
                },
                {"address_city": "Oslo", "address_geo_lat": Decimal("59.9"), "address_geo_at_z": 1},
            ),
        ],
    )
    def test_objects_become_columns_as_deep_as_wanted(
        self, table: Table, levels: int, columns: dict[str, str], first: dict[str, Any]
    ) -> None:
        result = table.destination(flatten=levels, unnest=True).load(NESTED)
        usual = {"id": "text", "tags": "json", "none": "json"}
        taken = {} if levels else {"address_zip": "text"}
        assert table.columns() == {**columns, **usual, **taken}
        found = table.rows()
        assert found["p1"] == {**first, "id": "p1", "tags": [{"a": 1}], "none": {}}
        assert found["p3"] == {"id": "p3", "address": "no object"}
        if levels:
            assert found["p2"] == {"id": "p2", "address_city": "Rome", "address_zip": 187}
            assert table.rescued() == {"p2": {"address_zip": "taken"}}
        else:
            assert found["p2"] == {"id": "p2", "address": NESTED[1]["address"], "address_zip": "taken"}
        assert result["values_rescued"] == len(table.rescued())

    def test_a_table_that_is_flattened_later_keeps_its_columns_and_every_value(self, table: Table) -> None:
        incremental = {"sync_mode": "incremental", "cursor_field": "changed"}
        table.source(**incremental)
        table.load([{"id": "p1", "address": {"city": "Oslo"}}])
        table.destination(flatten=1)
        table.load([{"id": "q1", "address": {"city": "Rome"}}, {"id": "q2", "address": [1]}])
        assert table.columns() == {"id": "text", "address": "json", "address_city": "text"}
        assert table.rows() == {
            "p1": {"id": "p1", "address": {"city": "Oslo"}},
            "q1": {"id": "q1", "address_city": "Rome"},
            "q2": {"id": "q2", "address": [1]},
        }


class ReaderCases:
    """Somebody reads the table all the time."""

    def test_a_reader_finds_the_old_rows_or_the_new_ones_at_every_instant(self, table: Table) -> None:
        made = [[{"id": f"p{n:02}", "a": number, f"k{number}": n} for n in range(20)] for number in range(4)]
        table.load(made[0])
        for old, new in pairwise(made):
            child, seen = table.serve(new[:10], new[10:]).start(), set[tuple[Any, ...]]()
            while child.poll() is None:
                seen.update(table.look("a"))
            said, _ = child.communicate()
            assert child.returncode == 0, said
            expected = {tuple((row["id"], row["a"]) for row in rows) for rows in (old, new)}
            assert seen <= expected
            assert table.look("a") == [max(expected)]


class RescueCases:
    """Values without room in a column."""

    @pytest.mark.parametrize("runner", ["thread", "process"])
    def test_rescued_values_are_counted_in_result_status_and_log(self, table: Table, runner: str) -> None:
        table.serve(
            [{"id": "p1", "n": 1}], [{"id": "q1", "n": "three"}, {"id": "q2", "n": 4, "N": 5}], [{"id": "r1", "N": 6}]
        )
        done = table.run("--runner", runner, "--result-json", "result.json")
        result = table.result()
        assert (result["status"], result["records_written"], result["values_rescued"]) == ("success", 4, 3)
        assert "Rescued: 3 values without room in a column, in _bizon_rescued" in done.stdout
        assert "1 values of 'n' are in _bizon_rescued: they do not fit its type without loss" in done.stderr
        assert "1 values of 'N' are in _bizon_rescued: column 'n' has this name, which is compared in" in done.stderr
        assert done.stderr.count("are in _bizon_rescued") == 2, "once for each key"
        assert "Rescued: 3 values without room in a column" in table.bizon("status", "config.yml").stdout
        assert table.rescued() == {"q1": {"n": "three"}, "q2": {"N": 5}, "r1": {"N": 6}}
        kept = {"p1": {"id": "p1", "n": 1}, "q1": {"id": "q1"}, "q2": {"id": "q2", "n": 4}, "r1": {"id": "r1"}}
        assert table.rows() == kept

    def test_the_result_counts_what_a_run_has_rescued_and_the_status_all_of_a_job(
        self, table: Table, wait_for: WaitFor
    ) -> None:
        table.serve([{"id": "p1", "n": 1}], [{"id": "q1", "n": "x"}], [{"id": "r1", "n": "y"}])
        with fault(hold={"create_destination_cursor": 3}):
            child = table.start()
        wait_for(lambda: noted(table, "create_destination_cursor") != [])
        child.send_signal(signal.SIGKILL)
        child.communicate()
        table.run("--result-json", "result.json")
        assert table.result()["values_rescued"] == 1, "the batch without a checkpoint, written again"
        assert "Rescued: 2 values without room in a column" in table.bizon("status", "config.yml").stdout
        assert table.rescued() == {"q1": {"n": "x"}, "r1": {"n": "y"}}


class VerifyCases:
    """Staging is compared before anything is published."""

    outcomes: Sequence[tuple[dict[str, Any], str, Any]] = ()
    """Settings, how staging is damaged, and the rows that are published; None: nothing is published."""

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if "wanted" in metafunc.fixturenames:
            names = [f"{each.get('verify', 'usual')}-{how}" for each, how, _ in self.outcomes]
            metafunc.parametrize(("settings", "how", "wanted"), self.outcomes, ids=names)

    def test_rows_that_somebody_changes_before_the_publication(
        self, table: Table, wait_for: WaitFor, settings: dict[str, Any], how: str, wanted: Any
    ) -> None:
        table.destination(**settings)
        table.load(OLD)
        exit_code, said = self.damaged_run(table, wait_for, how)
        if wanted is not None:
            assert exit_code == 0, said
            assert table.rows() == wanted
            assert table.leftovers() == []
            return
        assert exit_code == 1
        assert STOPPED in said
        assert "run with --fresh" in said
        assert "Traceback" not in said
        result = table.result()
        assert (result["status"], result["failure_class"], result["published"]) == ("failure", "destination", False)
        assert table.rows() == {"old": {"id": "old", "a": 0}}, "the published table is as it was"
        self.expect_that_only_a_fresh_run_helps(table)

    def expect_that_only_a_fresh_run_helps(self, table: Table) -> None:
        """The next run resumes: it fetches nothing, and finds the same."""
        before = table.trace()
        assert STOPPED in table.run(expect=1).stderr
        assert table.trace() == before
        table.run("--fresh")
        assert table.rows() == NEW
        assert table.leftovers() == []
        assert table.jobs()[-1] == ("succeeded", None)

    def damaged_run(self, table: Table, wait_for: WaitFor, how: str) -> tuple[int, str]:
        """A run whose third batch is changed after its checkpoint; its exit code, and what it has said."""
        table.serve(*PAGES)
        with fault(hold={"create_destination_cursor": 4}):
            child = table.start("--result-json", "result.json")
        wait_for(lambda: noted(table, "create_destination_cursor") != [])
        table.damage(how)
        release(table, "create_destination_cursor")
        said, _ = child.communicate(timeout=60)
        (table.folder / "fault.txt").unlink()
        return child.returncode, said
