"""The suite for typed tables finds each seeded defect; without it, the claims of the destinations pass."""

from pathlib import Path
from typing import Any

import pytest
from connectors.destinations.duckdb import test_duckdb_rules as duckdb
from connectors.destinations.file import test_file_tables as file
from destination.table_mutants import MUTANTS, Mutant
from duckdb import Error as DatabaseError

from bizon.common.errors.errors import BizonError
from bizon.source.config import SourceSyncModes
from bizon.testing.table_claims import TableClaims
from bizon.testing.table_values import HARD
from bizon.testing.tables import TableConformance

CLAIMS: dict[str, type[TableConformance]] = {
    "lines": file.TestLines,
    "parquet": file.TestParquet,
    "csv": file.TestCsv,
    "duckdb": duckdb.TestDuckdb,
}


def run(mutant: Mutant, folder: Path) -> None:
    """One behaviour, as its claim runs it."""
    claim = CLAIMS[mutant.claim]
    suite = claim()
    config = claim.config.__wrapped__(suite, folder)  # type: ignore[attr-defined]
    made = TableClaims.table.__wrapped__(suite, config)  # type: ignore[attr-defined]
    arguments: dict[str, Any] = {"config": config, "table": next(made), **mutant.arguments}
    if "mode" in arguments:
        arguments["mode"] = SourceSyncModes(arguments["mode"])
    if "hard" in arguments:
        arguments["hard"] = HARD[arguments["hard"]]
    try:
        getattr(suite, f"test_{mutant.finds}")(**arguments)
    finally:
        made.close()


@pytest.mark.matrix(share=8)
@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=MUTANTS)
def test_a_defect_is_found(mutant: Mutant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(mutant, tmp_path / "without")
    mutant.seed(monkeypatch)
    with pytest.raises((AssertionError, BizonError, KeyError, ValueError, DatabaseError, pytest.fail.Exception)):
        run(mutant, tmp_path / "with")


def test_every_rule_has_a_mutant() -> None:
    rules = {"_".join(mutant.finds.split("_")[:2]) for mutant in MUTANTS.values()}
    assert rules == {f"rule_{number}" for number in range(1, 12)}


def test_unclaimed_behaviours_add_no_tests() -> None:
    class OnlyAppends(TableConformance):
        pass

    assert OnlyAppends.test_rule_8_a_row_replaces_the_row_with_its_key is None
    assert OnlyAppends.test_rule_11_staging_that_somebody_changed_is_not_published is None
    assert OnlyAppends.test_rule_1_columns_come_from_every_record is not None


def test_a_test_without_its_parts_says_what_is_missing() -> None:
    suite = TableConformance()
    with pytest.raises(NotImplementedError, match="needs a fixture config"):
        TableClaims.config.__wrapped__(suite)  # type: ignore[attr-defined]
    for part in (suite.rows, suite.types):
        with pytest.raises(NotImplementedError, match="TableConformance needs a method"):
            part(None)  # type: ignore[arg-type]
