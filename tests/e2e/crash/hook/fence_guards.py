"""Guards against changes to an output by others: ownership, fence, lock, presence, confinement, private files."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from guards import FILE, FREEZES, OUTPUTS, guard, nothing, swap

PRIVATE = "common.private_files"
THAWED = f"{FREEZES}::test_a_run_thawed_after_another_has_ended_changes_nothing"


@guard("destination.staged", "tests/e2e/test_state.py::test_an_output_whose_state_was_lost_is_not_appended_to_unasked")
def lost_state_is_not_noticed(module: ModuleType) -> None:
    swap(module.StagedDestination, "_refuse_to_append_again", nothing)


@guard(f"{FILE}.output", f"{OUTPUTS}::test_an_output_of_another_pipeline_is_refused_and_untouched")
def anyone_may_write_an_output(module: ModuleType) -> None:
    swap(module.Output, "_check", nothing)


@guard(f"{FILE}.output", f"{OUTPUTS}::test_a_file_that_bizon_did_not_write_is_refused_and_untouched")
def files_of_others_are_replaced(module: ModuleType) -> None:
    swap(module.Output, "check_may_replace", nothing)


@guard(f"{FILE}.output", f"{OUTPUTS}::test_a_start_that_is_superseded_does_not_publish")
def fence_is_not_compared(module: ModuleType) -> None:
    @contextmanager
    def fenced(self: Any) -> Iterator[Any]:
        with self._locked():
            yield self.manifest()

    swap(module.Output, "fenced", lambda _inner: fenced)


@guard("destination.staged", f"{OUTPUTS}::test_a_superseded_start_finds_its_lines_gone")
def losses_of_superseded_starts_count_as_failures(module: ModuleType) -> None:
    @contextmanager
    def within(_self: Any) -> Iterator[None]:
        yield

    swap(module.StagedDestination, "_unless_superseded", lambda _inner: within)


@guard(f"{FILE}.output", f"{OUTPUTS}::test_a_start_that_is_superseded_before_it_claims_its_output_changes_nothing")
def superseded_starts_claim_their_output(module: ModuleType) -> None:
    swap(module.Output, "_supersedes", lambda _inner: lambda *_args: False)


@guard(f"{FILE}.output", f"{OUTPUTS}::test_a_start_waits_for_a_step_of_another_start")
def steps_are_not_locked(module: ModuleType) -> None:
    swap(module, "_lock", nothing)


@guard(f"{FILE}.presence", f"{OUTPUTS}::test_a_run_with_another_state_is_refused_while_one_is_active")
def runs_of_another_state_are_not_noticed(module: ModuleType) -> None:
    swap(module, "_check", nothing)


@guard(
    "destination.sql_claims",
    "tests/e2e/test_two_states.py::test_a_run_is_refused_before_it_fetches_while_another_one_writes_the_table",
)
def tables_of_runs_of_another_state_are_taken_over(module: ModuleType) -> None:
    swap(module.Claims, "_check_free", nothing)


@guard(f"{FILE}.presence", f"{THAWED}[stream-json-stream-appending]")
def frozen_appends_reach_the_file(module: ModuleType) -> None:
    swap(module, "is_gone", lambda _inner: lambda *_args: True)


@guard(
    f"{FILE}.presence",
    f"{FREEZES}::test_a_frozen_append_does_not_reach_the_file_when_the_next_start_dies_before_its_takeover",
)
def starts_are_announced_before_they_have_taken_over(module: ModuleType) -> None:
    def make(taking_over: Any) -> Any:
        @contextmanager
        def call(self: Any, output: Any, state: Any) -> Iterator[bool]:
            with taking_over(self, output, state) as may_live:
                self._announce(output, output.folder / "owner.json")
            yield may_live

        return call

    swap(module.Presence, "taking_over", make)


@guard(f"{FILE}.presence", f"{OUTPUTS}::test_no_run_is_active_once_it_has_ended")
def runs_that_have_ended_stay_present(module: ModuleType) -> None:
    swap(module.Presence, "close", nothing)


@guard(f"{FILE}.output", f"{OUTPUTS}::test_a_record_cannot_name_a_file_outside_the_folder_of_the_output")
def records_may_name_any_file(module: ModuleType) -> None:
    swap(module, "is_below", lambda _inner: lambda *_args: True)


@guard(PRIVATE, f"{OUTPUTS}::test_a_link_in_the_place_of_a_private_file_is_not_followed")
def links_are_followed(module: ModuleType) -> None:
    swap(module, "_NO_LINKS", lambda _inner: 0)


@guard(PRIVATE, f"{OUTPUTS}::test_a_private_file_is_created_and_never_found")
def private_files_may_be_there_already(module: ModuleType) -> None:
    def create(path: Path) -> Any:
        return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb")

    swap(module, "create_private", lambda _inner: create)


@guard(PRIVATE, f"{OUTPUTS}::test_private_files_are_readable_by_nobody_else")
def private_files_are_public(module: ModuleType) -> None:
    swap(module, "_FILE", lambda _inner: 0o666)


@guard(PRIVATE, f"{OUTPUTS}::test_a_link_in_the_place_of_a_private_folder_is_refused")
def links_to_folders_are_followed(module: ModuleType) -> None:
    swap(module, "check_private_folder", nothing)


@guard("destination.part_files", "tests/destination/test_part_files.py::test_a_record_names_no_place_but_a_table")
def records_may_name_any_place_of_a_store(module: ModuleType) -> None:
    swap(module, "fault_of", nothing)


@guard(
    "destination.staged",
    "tests/destination/test_part_files.py::test_rows_that_name_a_table_whose_manifest_is_another_file_are_refused_alone",
)
def tables_of_others_that_records_name_end_the_run(module: ModuleType) -> None:
    @contextmanager
    def within(*_args: Any) -> Iterator[None]:
        yield

    swap(module.StagedDestination, "_refusing", lambda _inner: within)
