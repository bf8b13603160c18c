"""Defects that the suite of typed tables must find: each replaces one part of a destination that works."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import polars as pl
import pytest

from bizon.connectors.destinations.duckdb.src.destination import DuckdbDestination
from bizon.connectors.destinations.file.src import csv_output, file_staging, journal
from bizon.connectors.destinations.file.src import destination as file
from bizon.connectors.destinations.file.src.file_staging import FileStaging
from bizon.connectors.destinations.file.src.manifest import State
from bizon.connectors.destinations.file.src.output import Output
from bizon.destination import column_names, fitting, leaves, table_schema, typed, typed_batch, typed_engine
from bizon.destination.column_names import NameRules
from bizon.destination.column_receipts import ColumnReceipts
from bizon.destination.column_types import FLOAT64, INT64, JSON, TEXT
from bizon.destination.evidence import Evidence, Shape
from bizon.destination.system_columns import ROW
from bizon.destination.table_schema import TableSchema
from bizon.destination.typed import RESCUED
from bizon.destination.typed_outputs import TypedOutputs
from bizon.destination.typed_rows import TypedRows

Patch = pytest.MonkeyPatch


class Mutant(NamedTuple):
    """``seed``: puts the defect in place. ``finds``: the behaviour that fails then; ``arguments`` choose one of its
    cases. ``claim``: the destination, by the name of its claim."""

    seed: Callable[[Patch], None]
    finds: str
    arguments: dict[str, Any] = {}
    claim: str = "parquet"


def replacing(owner: Any, name: str, make: Callable[[Any], Any]) -> Callable[[Patch], None]:
    """A seed: ``make`` gets the part as it is, and returns the one with the defect."""
    return lambda patch: patch.setattr(owner, name, make(owner.__dict__[name]))


def doing_nothing(owner: Any, name: str) -> Callable[[Patch], None]:
    return replacing(owner, name, lambda _real: lambda *_args, **_more: None)


def _from_a_sample(patch: Patch) -> None:
    real = typed_batch.inferred
    patch.setattr(typed_batch, "inferred", lambda texts, flatten: real(texts.head(1_000), flatten))
    seen = typed_batch.typed

    def without_unmet(*args: Any, **more: Any) -> Any:
        return replace(seen(*args, **more), unmet={})

    patch.setattr(typed_batch, "typed", without_unmet)


def _loses_what_does_not_fit(real: Any) -> Any:
    def made(rows: pl.DataFrame, frame: pl.DataFrame) -> Any:
        return real(rows, frame.with_columns(pl.lit(None, pl.String).alias(RESCUED)))

    return made


def _widens_integers_to_floats(real: Any) -> Any:
    return lambda existing, found: FLOAT64 if existing == INT64 and found.fraction else real(existing, found)


def _a_column_of_nulls(real: Any) -> Any:
    return lambda values: Evidence(Shape.TEXT) if all(value is None for value in values) else real(values)


def _mixed_is_text(real: Any) -> Any:
    return lambda self: TEXT if (found := real(self)) == JSON else found


def _adds_columns_always(real: Any) -> Any:
    return lambda self, name, taken, may_change: real(self, name, taken, may_change=True)


def _replaced_and_not_kept(real: Any) -> Any:
    return lambda value, column: (real(value, column)[0], True)


def _marks_no_beginning(real: Any) -> Any:
    return lambda self, found, state: found if state is State.PUBLISHING else real(self, found, state)


def _compares_nothing(_real: Any) -> Any:
    def verify(self: FileStaging, committed: Any) -> None:
        pieces = [self._located(batch.receipt) for batch in committed if batch.rows]
        sizes = {piece.path: piece.path.stat().st_size for piece in pieces}
        self._files = [self._staged_file(path, size) for path, size in sizes.items()]

    return verify


def _without(**changes: Any) -> Callable[[Any], Any]:
    """A merge with a modified rule."""

    def made(real: Any) -> Any:
        def rule(self: TypedRows, columns: Any) -> Any:
            found = real(self, columns)
            return None if found is None else replace(found, **changes)

        return rule

    return made


def _reversed(real: Any) -> Any:
    def plan(self: TypedRows, *args: Any) -> Any:
        found = real(self, *args)
        return found._replace(frame=found.frame.with_columns(-pl.col(ROW)))

    return plan


def _drops_the_view(real: Any) -> Any:
    def swap(self: DuckdbDestination, within: Any, staging: str, output: str) -> Any:
        within.run("DROP VIEW IF EXISTS seen")
        return real(self, within, staging, output)

    return swap


def _ever_another_column(real: Any) -> Any:
    numbers = iter(range(1_000))
    return lambda self, path: f"{real(self, path)}_{next(numbers)}" if len(path[0]) > 100 else real(self, path)


STAGED = {"mode": "incremental"}
STREAM = {"mode": "stream"}
MUTANTS = {
    "infers from a sample": Mutant(_from_a_sample, "rule_1_columns_come_from_every_record", STAGED),
    "forgets the columns between runs": Mutant(
        replacing(Output, "noted_columns", lambda _: lambda self: None),
        "rule_1_a_table_keeps_its_columns_from_run_to_run",
        claim="lines",
    ),
    "takes JSON for text": Mutant(
        replacing(file, "columns_there", lambda real: lambda main, noted: real(main, None)),
        "rule_1_a_table_keeps_its_columns_from_run_to_run",
    ),
    "ignores declared types": Mutant(
        replacing(
            typed_batch,
            "table_schema",
            lambda real: lambda there, declared, *more, **others: real(there, {}, *more, **others),
        ),
        "rule_1_a_declared_column_wins",
    ),
    "has a column of nulls": Mutant(
        replacing(typed, "evidence_of", _a_column_of_nulls),
        "rule_2_a_column_of_nulls_does_not_exist_until_a_value_comes",
        STREAM,
    ),
    "makes text of mixed values": Mutant(
        replacing(Evidence, "column_type", _mixed_is_text),
        "rule_2_a_hard_value_is_kept_rescued_or_refused",
        {"hard": "text, numbers and truth", **STAGED},
    ),
    "loses what does not fit": Mutant(
        replacing(typed_batch, "with_system_columns", _loses_what_does_not_fit),
        "rule_3_a_value_that_does_not_fit_is_rescued_and_counted",
        STAGED,
    ),
    "counts nothing": Mutant(
        replacing(TypedOutputs, "rescued", lambda _: lambda self: 0),
        "rule_3_a_value_that_does_not_fit_is_rescued_and_counted",
        STREAM,
    ),
    "adds columns to a frozen table": Mutant(
        replacing(TableSchema, "_check", _adds_columns_always), "rule_3_a_frozen_table_rescues_what_has_no_column"
    ),
    "is not strict": Mutant(
        replacing(TableSchema, "is_strict", lambda _: property(lambda self: False)),
        "rule_3_a_strict_table_refuses_what_does_not_fit",
    ),
    "widens integers to floats": Mutant(
        replacing(typed_engine, "widened", _widens_integers_to_floats),
        "rule_4_a_column_that_might_change_a_stored_value_stays",
    ),
    "does not widen": Mutant(
        replacing(typed_engine, "widened", lambda _: lambda existing, found: None),
        "rule_4_a_column_is_widened_and_no_stored_value_changes",
        STAGED,
    ),
    "minds the case of names": Mutant(
        replacing(table_schema, "folded", lambda _: lambda name: name),
        "rule_2_a_hard_value_is_kept_rescued_or_refused",
        {"hard": "keys that differ in case", **STAGED},
    ),
    "gives a long key another name each time": Mutant(
        replacing(NameRules, "name", _ever_another_column), "rule_5_a_key_has_the_same_column_in_every_run"
    ),
    "has no snake case": Mutant(
        replacing(column_names, "_snake_case", lambda _: lambda key: key), "rule_5_names_may_be_in_snake_case"
    ),
    "keeps no NUL": Mutant(
        lambda patch: patch.setitem(
            fitting._CONVERT, fitting.Kind.TEXT, _replaced_and_not_kept(fitting._CONVERT[fitting.Kind.TEXT])
        ),
        "rule_6_text_that_cannot_be_stored_is_replaced_in_the_column_and_kept",
    ),
    "reads numbers as floats": Mutant(
        replacing(leaves, "_number", lambda _: float), "rule_7_numbers_pass_through_no_float"
    ),
    "does not pad the lines that are there": Mutant(
        replacing(csv_output, "_copy_lines", lambda real: lambda main, target, more: real(main, target, b"")),
        "rule_9_new_columns_are_seen_with_their_rows",
        STAGED,
        "csv",
    ),
    "forgets the columns of the last output": Mutant(
        replacing(TypedOutputs, "noted", lambda _: lambda self, output: {}),
        "rule_9_a_job_without_records_keeps_the_columns",
        {"mode": "full_refresh"},
    ),
    "keeps no columns in receipts": Mutant(
        replacing(ColumnReceipts, "receipt", lambda _: lambda self, columns: {}),
        "rule_10_a_job_goes_on_in_the_middle_of_a_growing_schema",
        STAGED,
        "lines",
    ),
    "keeps rows without a checkpoint": Mutant(
        replacing(journal, "truncate_file", lambda _: lambda path, size: None),
        "rule_10_rows_without_a_checkpoint_go_though_they_added_columns",
        STREAM,
        "lines",
    ),
    "publishes again after a crash": Mutant(
        replacing(Output, "mark", _marks_no_beginning),
        "rule_10_a_kill_while_columns_are_added_loses_and_doubles_nothing",
        STAGED,
    ),
    "does not look at the fence": Mutant(
        replacing(Output, "claimed_manifest", lambda _: lambda self: self.manifest()),
        "rule_10_a_start_that_was_frozen_adds_no_row_and_takes_no_column",
        STAGED,
    ),
    "compares nothing with the checkpoints, and a row is removed": Mutant(
        replacing(FileStaging, "verify", _compares_nothing),
        "rule_11_staging_that_somebody_changed_is_not_published",
        {**STAGED, "how": "removed"},
    ),
    "compares no values": Mutant(
        replacing(file_staging, "digest", lambda _: lambda path, start, end: 0),
        "rule_11_staging_that_somebody_changed_is_not_published",
        {**STAGED, "how": "changed"},
        "lines",
    ),
    "merges by nothing": Mutant(
        replacing(TypedRows, "rule", lambda _: lambda self, columns: None),
        "rule_8_a_row_replaces_the_row_with_its_key",
        STAGED,
        "duckdb",
    ),
    "merges by arrival": Mutant(
        replacing(TypedRows, "rule", _without(version=None)),
        "rule_8_a_row_that_comes_late_does_not_replace_a_newer_one",
        STAGED,
        "duckdb",
    ),
    "merges by the id of the record": Mutant(
        replacing(TypedRows, "rule", _without(key=["_source_record_id"])),
        "rule_8_a_row_replaces_the_row_with_its_key",
        STREAM,
        "duckdb",
    ),
    "keeps deleted rows": Mutant(
        replacing(TypedRows, "rule", _without(removed=None)),
        "rule_8_a_deleted_record_is_flagged_or_removed",
        STAGED,
        "duckdb",
    ),
    "takes rows without their key": Mutant(
        doing_nothing(TypedRows, "_check_keys"), "rule_8_a_record_without_its_key_is_refused", STAGED, "duckdb"
    ),
    "takes keys that it cannot tell apart": Mutant(
        replacing(typed_batch, "unheld", lambda _: lambda frame, column, key: []),
        "rule_8_keys_that_a_column_cannot_tell_apart_are_refused",
        STREAM,
        "duckdb",
    ),
    "reverses arrival": Mutant(
        replacing(TypedRows, "plan", _reversed),
        "rule_8_of_equal_versions_the_one_that_arrived_last_stays",
        {"mode": "full_refresh"},
        "duckdb",
    ),
    "drops what depends on the table": Mutant(
        replacing(DuckdbDestination, "swap", _drops_the_view),
        "rule_9_a_view_on_the_table_stays",
        {"mode": "full_refresh"},
        "duckdb",
    ),
}
