"""The suite for destinations: one that keeps the contract passes, and each way to break it fails a named behaviour."""

from typing import Any, ClassVar

import pytest
from destination import broken_tables as broken
from destination import memory_target
from destination.memory_tables import Tables

from bizon.common.errors.errors import BizonError
from bizon.destination.config import AbstractDestinationConfig, AbstractDestinationDetailsConfig, DestinationTypes
from bizon.destination.destination import AbstractDestination
from bizon.source.config import SourceSyncModes
from bizon.source.models import SourceRecord
from bizon.testing.destination import FULL_REFRESH, INCREMENTAL, STREAM, DestinationConformance

CONFIG = AbstractDestinationConfig(
    name=DestinationTypes.FILE, alias="tables", config=AbstractDestinationDetailsConfig(destination_id="table")
)
CRASH = "a_crash_after_any_call_to_the_target_loses_and_doubles_nothing"
FROZEN = "a_start_that_was_frozen_writes_and_publishes_nothing"
MISFIT = "a_record_that_can_never_be_stored_is_refused_and_named"
NOT_STAGED = "rows_that_are_recorded_and_not_staged_stop_the_publication"
TORN = "rows_without_a_checkpoint_go_even_when_their_pages_do_not_come_again"
EMPTY_NOW = "rows_without_a_checkpoint_go_when_their_page_is_empty_the_next_time"
LATE_JOB = "an_older_job_that_prepares_late_destroys_nothing_of_a_newer_one"
PUBLISHER = "the_output_names_the_job_that_published_it_last"
MOMENT = "a_write_that_fails_for_a_moment_is_repeated"
AGAIN = "a_batch_that_is_written_again_replaces_the_first_write"
DIED_BEFORE = "a_job_that_died_before_publishing_is_published_by_the_next_start"
NAMED = "a_row_that_names_the_table_of_another_pipeline_is_refused_alone"
ROUTED = "in_stream_mode_rows_are_seen_at_once_in_the_table_they_name"


@pytest.fixture(autouse=True)
def _nothing_there() -> None:
    memory_target.clear()


class TestTables(DestinationConformance):
    client = ("destination.memory_target",)
    misfit = SourceRecord(id="never", data={})
    kind: ClassVar[type[AbstractDestination]] = Tables

    @pytest.fixture
    def config(self) -> AbstractDestinationConfig:
        return CONFIG

    def build(self, *arguments: Any) -> AbstractDestination:
        return self.kind(*arguments)

    def read(self, config: AbstractDestinationConfig, destination_id: str | None) -> list[memory_target.Row]:
        return memory_target.CONTENTS.published.get(destination_id or config.config.destination_id, [])


@pytest.mark.parametrize(
    ("kind", "behaviour", "mode"),
    [
        (broken.PublishesWhatIsThere, NOT_STAGED, FULL_REFRESH),
        (broken.WakesUpAndPrepares, "a_start_that_prepares_late_destroys_nothing_of_the_next", INCREMENTAL),
        (broken.WakesUpAndPrepares, LATE_JOB, FULL_REFRESH),
        (broken.DoesNotLookAtTheFence, FROZEN, FULL_REFRESH),
        (broken.DoesNotLookAtTheFence, FROZEN, INCREMENTAL),
        (broken.LooksAtTheFenceOnlyWhenItPublishes, FROZEN, INCREMENTAL),
        (broken.DoesNotSayWhoPublished, PUBLISHER, INCREMENTAL),
        (broken.TakesStagedRowsForPublished, PUBLISHER, FULL_REFRESH),
        (broken.KeepsWhatWasNotRecorded, TORN, INCREMENTAL),
        (broken.KeepsWhatWasNotRecorded, TORN, FULL_REFRESH),
        (broken.ForgetsTornRows, EMPTY_NOW, INCREMENTAL),
        (broken.KeepsTheRowsOfJobsBefore, "rows_of_a_job_that_was_given_up_never_show", INCREMENTAL),
        (broken.ForgetsWhatWasRecorded, "a_job_that_dies_goes_on_where_its_checkpoint_says", FULL_REFRESH),
        (broken.ForgetsWhatWasRecorded, DIED_BEFORE, INCREMENTAL),
        (broken.PublishesAtOnce, "nothing_is_seen_before_it_is_published", INCREMENTAL),
        (broken.PublishesTwice, "publishing_again_after_a_crash_changes_nothing", INCREMENTAL),
        (broken.PublishesInTwoSteps, CRASH, FULL_REFRESH),
        (broken.RemovesStagingFirst, CRASH, INCREMENTAL),
        (broken.PublishesAgainAfterACrash, CRASH, INCREMENTAL),
        (broken.PublishesOnlyWhatItWrote, "a_job_without_rows_is_published_too", FULL_REFRESH),
        (broken.AddsABatchAgain, AGAIN, FULL_REFRESH),
        (broken.WritesRowByRow, MOMENT, INCREMENTAL),
        (
            broken.AppendsAfterItsStateWasLost,
            "a_run_whose_state_was_lost_does_not_append_everything_again",
            INCREMENTAL,
        ),
        (broken.TakesTheTableOfAnybody, "another_pipeline_is_refused", FULL_REFRESH),
        (broken.TakesTheTableThatARecordNames, NAMED, STREAM),
        (broken.FailsForATableThatARecordNames, NAMED, STREAM),
        (broken.SaysThatItHasWritten, MOMENT, FULL_REFRESH),
        (broken.SaysThatItHasWritten, "a_target_that_fails_at_any_call_loses_and_doubles_nothing", INCREMENTAL),
        (broken.GivesUpAtOnce, MOMENT, STREAM),
        (broken.IgnoresRejects, MISFIT, FULL_REFRESH),
        (broken.WritesTheRestOfABatchWithRejects, MISFIT, INCREMENTAL),
        (broken.RoundsMoments, "every_value_arrives_as_it_was", STREAM),
        (broken.WritesToOneTable, ROUTED, STREAM),
        (broken.LosesLargeBatches, "many_batches_of_all_sizes_arrive", FULL_REFRESH),
        (broken.NeedsToBePrepared, "it_can_be_closed_before_it_was_used", None),
    ],
)
def test_a_breach_of_the_contract_fails_the_suite(
    kind: type[AbstractDestination], behaviour: str, mode: SourceSyncModes | None
) -> None:
    with pytest.raises((AssertionError, AttributeError, BizonError, pytest.fail.Exception)):
        run_behaviour(kind, behaviour, mode)


def run_behaviour(kind: type[AbstractDestination], behaviour: str, mode: SourceSyncModes | None) -> None:
    suite = TestTables()
    suite.kind = kind  # type: ignore[misc]
    fixture = DestinationConformance.pipeline.__wrapped__(suite, CONFIG)  # type: ignore[attr-defined]
    arguments = {"config": CONFIG, "pipeline": next(fixture), "mode": mode}
    test = getattr(suite, f"test_{behaviour}")
    wanted = test.__code__.co_varnames[: test.__code__.co_argcount]
    test(**{name: value for name, value in arguments.items() if name in wanted})


def test_a_suite_that_watches_no_client_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TestTables, "client", ())
    with pytest.raises(AssertionError, match="set `client`"):
        run_behaviour(Tables, "its_calls_to_the_target_are_seen", None)


def test_unclaimed_behaviours_add_no_tests() -> None:
    class OnlyTakesRows(DestinationConformance):
        stages = survives_interruptions = False

    assert getattr(OnlyTakesRows, f"test_{FROZEN}") is None
    assert getattr(OnlyTakesRows, f"test_{CRASH}") is None
    assert getattr(OnlyTakesRows, f"test_{AGAIN}") is not None


def test_a_test_without_its_parts_says_what_is_missing() -> None:
    suite = DestinationConformance()
    with pytest.raises(NotImplementedError, match="DestinationConformance needs a fixture config"):
        DestinationConformance.config.__wrapped__(suite)  # type: ignore[attr-defined]
    with pytest.raises(NotImplementedError, match="DestinationConformance needs a method read"):
        suite.read(CONFIG, None)
