"""Each way to break the contract fails the behaviour that is named after it."""

from typing import Any

import pytest
from items_api import ItemsApi, items_block
from pytest_httpserver import HTTPServer
from source.conformance import broken_http, broken_paging, broken_partitions, broken_promises

from bizon.common.errors.errors import SourceFetchError
from bizon.engine.engine import load_config_dict
from bizon.testing.source_behaviours import SourceBehaviours
from bizon.testing.source_subject import BehaviourError, NotApplicable, Subject

DEFECTS = [
    (broken_paging.SkipsTheLastPage, "the_total_is_true_or_none"),
    (broken_paging.SkipsTheLastPageAndHasNoTotal, "nothing_follows_the_last_page"),
    (broken_paging.SkipsTheLastNumberedPage, "nothing_follows_the_last_page"),
    (broken_paging.RepeatsAPage, "no_page_repeats"),
    (broken_paging.NeverEnds, "paging_ends"),
    (broken_paging.NeverEndsWithNewPaginations, "paging_ends"),
    (broken_paging.NumbersItsIds, "ids_are_unique"),
    (broken_paging.DrawsItsIds, "ids_are_stable_over_two_reads"),
    (broken_paging.ChangesItsOrder, "resuming_at_every_page_gives_the_same_records"),
    (broken_paging.KeepsItsPositionToItself, "resuming_at_every_page_gives_the_same_records"),
    (broken_paging.CannotTakeNone, "none_and_an_empty_pagination_are_the_same_page"),
    (broken_paging.CarriesAllThatIsLeft, "pagination_is_json_and_small"),
    (broken_paging.CarriesAMoment, "pagination_is_json_and_small"),
    (broken_paging.CarriesASet, "pagination_is_json_and_small"),
    (broken_http.SwallowsErrors, "a_401_is_not_retried"),
    (broken_http.SwallowsErrors, "a_404_is_not_retried"),
    (broken_http.SwallowsErrors, "a_503_that_stays_is_an_error"),
    (broken_http.SwallowsErrors, "a_cut_body_is_an_error"),
    (broken_http.SwallowsErrors, "invalid_json_is_an_error"),
    (broken_http.TakesHtmlForRecords, "an_html_page_is_an_error"),
    (broken_http.TakesAMissingListForAnEmptyOne, "json_without_records_is_an_error"),
    (broken_http.ReadsPastTheEndOfABody, "a_cut_body_is_an_error"),
    (broken_http.HidesThePath, "an_html_page_is_an_error"),
    (broken_http.HasASessionOfItsOwn, "a_503_is_survived"),
    (broken_http.TriesA401Again, "a_401_is_not_retried"),
    (broken_http.TriesA401Again, "a_404_is_not_retried"),
    (broken_http.IgnoresRetryAfter, "a_429_with_retry_after_is_survived"),
    (broken_http.GoesPastItsSession, "its_requests_pass_through_its_session"),
    (broken_http.GoesPastItsSession, "a_503_is_survived"),
    (broken_http.ClaimsToNeedNoHttp, "its_requests_pass_through_its_session"),
    (broken_promises.LosesEqualTimestamps, "equal_timestamps_at_the_edge_of_a_window_are_not_lost"),
    (broken_promises.BeginsADayEarly, "an_incremental_run_finds_exactly_what_changed"),
    (broken_promises.ForgetsTheLastChanges, "an_incremental_run_finds_exactly_what_changed"),
    (broken_promises.FiltersWhatItDeclaresWhole, "an_incremental_run_finds_exactly_what_changed"),
    (broken_promises.FetchesEverythingAgain, "an_incremental_run_without_changes_finds_nothing"),
    (broken_promises.PrintsItsToken, "no_output_shows_a_secret"),
    (broken_promises.LogsItsHeaders, "no_output_shows_a_secret"),
    (broken_promises.QuotesTheAnswerInErrors, "no_output_shows_a_secret"),
    (broken_promises.KeepsItsTokenInTheState, "no_output_shows_a_secret"),
    (broken_promises.LosesEqualTimestampsBetweenPages, "equal_timestamps_at_the_edge_of_a_window_are_not_lost"),
    (broken_promises.DeclaresItsKeyAsText, "wrong_credentials_say_so_in_one_line"),
    (broken_promises.DeclaresItsKeyAsText, "secrets_are_declared_as_secret_text"),
    (broken_promises.CountsWrongly, "the_total_is_true_or_none"),
    (broken_promises.CountsWithoutATotal, "the_total_is_true_or_none"),
    (broken_promises.NeedsNoCredentials, "wrong_credentials_say_so_in_one_line"),
    (broken_promises.SaysNothingAboutCredentials, "wrong_credentials_say_so_in_one_line"),
    (broken_partitions.LeavesAGap, "partitions_together_are_the_stream"),
    (broken_partitions.Overlaps, "partitions_together_are_the_stream"),
    (broken_partitions.PlansMoreThanJson, "a_partition_is_json"),
    (broken_partitions.ForgetsItsPartitionWhenItResumes, "a_partition_resumes_at_every_page"),
    (broken_partitions.DiffersInItsState, "partitions_do_not_differ_in_the_state_for_the_next_run"),
    (broken_promises.FailsOnAnEmptyList, "an_empty_stream_works"),
]


@pytest.mark.parametrize(("kind", "behaviour"), DEFECTS, ids=[f"{kind.__name__}-{name}" for kind, name in DEFECTS])
def test_a_breach_of_the_contract_fails_the_suite(httpserver: HTTPServer, kind: Any, behaviour: str) -> None:
    block = items_block(ItemsApi(httpserver))
    if kind is broken_promises.DeclaresItsKeyAsText:
        del block["authentication"]
    loaded = load_config_dict({"name": "defects", "source": block, "destination": {"name": "logger"}}, kind)
    with pytest.raises((BehaviourError, SourceFetchError, NotApplicable)) as found:
        getattr(SourceBehaviours(), f"test_{behaviour}")(Subject(loaded))
    assert not isinstance(found.value, NotApplicable), "a skip hides the defect"


@pytest.mark.parametrize(
    "behaviour", [name for name in dir(SourceBehaviours) if name.startswith("test_") and "partition" in name]
)
def test_partitions_that_divide_a_stream_correctly_pass(httpserver: HTTPServer, behaviour: str) -> None:
    block = items_block(ItemsApi(httpserver))
    loaded = load_config_dict(
        {"name": "defects", "source": block, "destination": {"name": "logger"}}, broken_partitions.Divides
    )
    getattr(SourceBehaviours(), behaviour)(Subject(loaded))
