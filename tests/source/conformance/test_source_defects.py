"""Each way to break the contract fails the behaviour that is named after it."""

import json
import time
from datetime import datetime, timedelta
from random import Random
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from items_api import SOURCE_FILE, TOKEN, ItemsApi, items_block
from loguru import logger as plain_logger
from pytest_httpserver import HTTPServer
from requests.adapters import HTTPAdapter

from bizon.common.errors.errors import SourceFetchError
from bizon.engine.engine import load_config_dict
from bizon.source.config import SourceConfig
from bizon.source.discover import load_custom_source
from bizon.source.models import SourceIteration, SourceRecord
from bizon.testing.source_behaviours import SourceBehaviours
from bizon.testing.source_subject import BehaviourError, NotApplicable, Subject

Items: Any = load_custom_source(SOURCE_FILE)


class SkipsTheLastPage(Items):
    def get(self, pagination=None):
        page = super().get(pagination)
        is_last = page.next_pagination and not super().get(page.next_pagination).next_pagination
        return SourceIteration(records=page.records, next_pagination={} if is_last else page.next_pagination)


class RepeatsAPage(Items):
    def get(self, pagination=None):
        if pagination and pagination.get("again"):
            return super().get({"cursor": pagination["again"]})
        page = super().get(pagination)
        if pagination and page.next_pagination:
            return SourceIteration(records=page.records, next_pagination={"again": pagination["cursor"]})
        return page


class NeverEnds(Items):
    def iteration(self, page):
        found = super().iteration(page)
        return SourceIteration(records=found.records, next_pagination=found.next_pagination or {"cursor": "0"})


class NeverEndsWithNewPaginations(Items):
    def get(self, pagination=None):
        number = pagination["n"] + 1 if pagination else 1
        return SourceIteration(records=super().get().records if number == 1 else [], next_pagination={"n": number})


class NumbersItsIds(Items):
    def iteration(self, page):
        records = [SourceRecord(id=number, data=item) for number, item in enumerate(page["items"])]
        return SourceIteration(records=records, next_pagination=super().iteration(page).next_pagination)


class DrawsItsIds(Items):
    def iteration(self, page):
        records = [SourceRecord(id=Random().getrandbits(60), data=item) for item in page["items"]]
        return SourceIteration(records=records, next_pagination=super().iteration(page).next_pagination)


class ShufflesItsPages(Items):
    def get(self, pagination=None):
        if not hasattr(self, "order"):
            cursors = ["0", "3", "6"]
            Random(time.monotonic_ns()).shuffle(cursors)
            self.order = cursors
        number = pagination["n"] if pagination else 0
        records = super().get({"cursor": self.order[number]}).records
        return SourceIteration(records=records, next_pagination={"n": number + 1} if number < len("36") else {})


class KeepsItsPositionToItself(Items):
    position = None

    def get(self, pagination=None):
        if not pagination:
            self.position = None
        page = super().get(self.position)
        self.position = page.next_pagination
        return SourceIteration(
            records=page.records, next_pagination={"more": self.position["cursor"]} if self.position else {}
        )


class CannotTakeNone(Items):
    def get(self, pagination=None):
        return super().get({"cursor": pagination.get("cursor")})


class CarriesAllThatIsLeft(Items):
    def iteration(self, page):
        found = super().iteration(page)
        following = found.next_pagination and {**found.next_pagination, "left": [f"item-{n}" for n in range(2_000)]}
        return SourceIteration(records=found.records, next_pagination=following)


class CarriesAMoment(Items):
    def get(self, pagination=None):
        page = super().get(pagination)
        following = page.next_pagination and {**page.next_pagination, "at": datetime(2024, 1, 1)}
        return SourceIteration(records=page.records, next_pagination=following)


class CarriesASet(Items):
    def iteration(self, page):
        found = super().iteration(page)
        return SourceIteration(records=found.records, next_pagination=found.next_pagination and {"cursor": {"3"}})


class SwallowsErrors(Items):
    def fetch(self, **params):
        try:
            return super().fetch(**params)
        except (requests.RequestException, ValueError):
            return {"items": [], "total": 0}


class TakesHtmlForRecords(Items):
    def fetch(self, **params):
        answer = self.session.get(f"{self.config.base_url}/{self.config.stream}", params=params)
        if "html" in answer.headers["Content-Type"]:
            return {"items": [{"id": "page", "text": answer.text}]}
        return answer.json()


class TakesAMissingListForAnEmptyOne(Items):
    def iteration(self, page):
        return super().iteration({"items": [], **page})


class ReadsPastTheEndOfABody(Items):
    def fetch(self, **params):
        answer = self.session.get(f"{self.config.base_url}/{self.config.stream}", params=params, stream=True)
        try:
            return json.loads(answer.raw.read())
        except Exception:
            return {"items": []}


class HidesThePath(Items):
    def fetch(self, **params):
        try:
            return super().fetch(**params)
        except (requests.RequestException, ValueError):
            raise RuntimeError("the API failed") from None


class HasASessionOfItsOwn(Items):
    """Its adapter has no retries, as in plain requests."""

    def get_session(self):
        session = super().get_session()
        session.mount("http://", HTTPAdapter())
        return session


class TriesA401Again(Items):
    def fetch(self, **params):
        try:
            return super().fetch(**params)
        except requests.HTTPError as error:
            if error.response.status_code in (401, 404):
                return super().fetch(**params)
            raise


class IgnoresRetryAfter(Items):
    def fetch(self, **params):
        for _ in range(3):
            url = f"{self.config.base_url}/{self.config.stream}"
            answer = self.session.get(url, params=params, hooks={"response": []})
            if answer.status_code not in (429, 503):
                answer.raise_for_status()
                return answer.json()
        return super().fetch(**params)

    def get_session(self):
        session = super().get_session()
        session.mount("http://", HTTPAdapter())
        session.hooks["response"] = []
        return session


class GoesPastItsSession(Items):
    def fetch(self, **params):
        headers = {"Authorization": f"Bearer {self.config.authentication.params.token}"}
        url = f"{self.config.base_url}/{self.config.stream}"
        return requests.get(url, params=params, headers=headers, timeout=10).json()


class ClaimsToNeedNoHttp(Items):
    fetches_over_http = False


class LosesEqualTimestamps(Items):
    def get_records_after(self, source_state, pagination=None):
        later = source_state.model_copy(update={"last_run": source_state.last_run + timedelta(seconds=1)})
        return super().get_records_after(later, pagination)


class LosesEqualTimestampsBetweenPages(Items):
    """Each page begins after the last moment of the page before."""

    def get_records_after(self, source_state, pagination=None):
        since = pagination["after"] if pagination else source_state.last_run.isoformat()
        page = self.fetch(since=since)
        records = self.iteration(page).records
        if "next" not in page:
            return SourceIteration(records=records, next_pagination={})
        after = datetime.fromisoformat(page["items"][-1]["updated_at"]) + timedelta(microseconds=1)
        return SourceIteration(records=records, next_pagination={"after": after.isoformat()})


class BeginsADayEarly(Items):
    def get_records_after(self, source_state, pagination=None):
        earlier = source_state.model_copy(update={"last_run": source_state.last_run - timedelta(days=1)})
        return super().get_records_after(earlier, pagination)


class FetchesEverythingAgain(Items):
    def get_records_after(self, source_state, pagination=None):
        return self.get(pagination)


class ForgetsTheLastChanges(Items):
    def get_records_after(self, source_state, pagination=None):
        page = super().get_records_after(source_state, pagination)
        return SourceIteration(records=page.records[:1], next_pagination=page.next_pagination)


class PrintsItsToken(Items):
    def fetch(self, **params):
        print("using", self.config.authentication.params.token)
        return super().fetch(**params)


class LogsItsHeaders(Items):
    def fetch(self, **params):
        plain_logger.debug("sending Authorization: {}", self.session.auth.token)
        return super().fetch(**params)


class QuotesTheAnswerInErrors(Items):
    def fetch(self, **params):
        try:
            return super().fetch(**params)
        except requests.HTTPError as error:
            raise RuntimeError(f"{urlsplit(error.response.url).path}: {error.response.text}") from None


class KeepsItsTokenInTheState(Items):
    def iteration(self, page):
        found = super().iteration(page)
        key = self.config.authentication.params.token
        following = found.next_pagination and {**found.next_pagination, "url": f"{self.config.base_url}?key={key}"}
        return SourceIteration(records=found.records, next_pagination=following)


class CountsWrongly(Items):
    def get_total_records_count(self):
        return super().get_total_records_count() + 1


class CountsWithoutATotal(Items):
    def get_total_records_count(self):
        return self.fetch().get("count", 0)


class NeedsNoCredentials(Items):
    def check_connection(self):
        return True, None

    def fetch(self, **params):
        try:
            return super().fetch(**params)
        except requests.HTTPError:
            return {"items": [], "total": 0}


class SaysNothingAboutCredentials(Items):
    def check_connection(self):
        try:
            self.fetch()
        except requests.HTTPError:
            return False, "something is wrong\nplease try again"
        return True, None


class FailsOnAnEmptyList(Items):
    def iteration(self, page):
        page["items"][0]
        return super().iteration(page)


class KeyConfig(SourceConfig):
    base_url: str
    api_key: str = TOKEN


class DeclaresItsKeyAsText(Items):
    @staticmethod
    def get_config_class():
        return KeyConfig

    def get_authenticator(self):
        return None

    def fetch(self, **params):
        return super().fetch(key=self.config.api_key, **params)


DEFECTS = [
    (SkipsTheLastPage, "the_total_is_true_or_none"),
    (RepeatsAPage, "no_page_repeats"),
    (NeverEnds, "paging_ends"),
    (NeverEndsWithNewPaginations, "paging_ends"),
    (NumbersItsIds, "ids_are_unique"),
    (DrawsItsIds, "ids_are_stable_over_two_reads"),
    (ShufflesItsPages, "resuming_at_every_page_gives_the_same_records"),
    (KeepsItsPositionToItself, "resuming_at_every_page_gives_the_same_records"),
    (CannotTakeNone, "none_and_an_empty_pagination_are_the_same_page"),
    (CarriesAllThatIsLeft, "pagination_is_json_and_small"),
    (CarriesAMoment, "pagination_is_json_and_small"),
    (CarriesASet, "pagination_is_json_and_small"),
    (SwallowsErrors, "a_401_is_not_retried"),
    (SwallowsErrors, "a_404_is_not_retried"),
    (SwallowsErrors, "a_503_that_stays_is_an_error"),
    (SwallowsErrors, "a_cut_body_is_an_error"),
    (SwallowsErrors, "invalid_json_is_an_error"),
    (TakesHtmlForRecords, "an_html_page_is_an_error"),
    (TakesAMissingListForAnEmptyOne, "json_without_records_is_an_error"),
    (ReadsPastTheEndOfABody, "a_cut_body_is_an_error"),
    (HidesThePath, "an_html_page_is_an_error"),
    (HasASessionOfItsOwn, "a_503_is_survived"),
    (TriesA401Again, "a_401_is_not_retried"),
    (TriesA401Again, "a_404_is_not_retried"),
    (IgnoresRetryAfter, "a_429_with_retry_after_is_survived"),
    (GoesPastItsSession, "its_requests_pass_through_its_session"),
    (GoesPastItsSession, "a_503_is_survived"),
    (ClaimsToNeedNoHttp, "its_requests_pass_through_its_session"),
    (LosesEqualTimestamps, "equal_timestamps_at_the_edge_of_a_window_are_not_lost"),
    (BeginsADayEarly, "an_incremental_run_finds_exactly_what_changed"),
    (ForgetsTheLastChanges, "an_incremental_run_finds_exactly_what_changed"),
    (FetchesEverythingAgain, "an_incremental_run_without_changes_finds_nothing"),
    (PrintsItsToken, "no_output_shows_a_secret"),
    (LogsItsHeaders, "no_output_shows_a_secret"),
    (QuotesTheAnswerInErrors, "no_output_shows_a_secret"),
    (KeepsItsTokenInTheState, "no_output_shows_a_secret"),
    (LosesEqualTimestampsBetweenPages, "equal_timestamps_at_the_edge_of_a_window_are_not_lost"),
    (DeclaresItsKeyAsText, "wrong_credentials_say_so_in_one_line"),
    (DeclaresItsKeyAsText, "secrets_are_declared_as_secret_text"),
    (CountsWrongly, "the_total_is_true_or_none"),
    (CountsWithoutATotal, "the_total_is_true_or_none"),
    (NeedsNoCredentials, "wrong_credentials_say_so_in_one_line"),
    (SaysNothingAboutCredentials, "wrong_credentials_say_so_in_one_line"),
    (FailsOnAnEmptyList, "an_empty_stream_works"),
]


@pytest.mark.parametrize(("kind", "behaviour"), DEFECTS, ids=[f"{kind.__name__}-{name}" for kind, name in DEFECTS])
def test_what_breaks_the_contract_fails(httpserver: HTTPServer, kind: Any, behaviour: str) -> None:
    block = items_block(ItemsApi(httpserver))
    if kind is DeclaresItsKeyAsText:
        del block["authentication"]
    loaded = load_config_dict({"name": "defects", "source": block, "destination": {"name": "logger"}}, kind)
    with pytest.raises((BehaviourError, SourceFetchError, NotApplicable)) as found:
        getattr(SourceBehaviours(), f"test_{behaviour}")(Subject(loaded))
    assert not isinstance(found.value, NotApplicable), "a skip hides the defect"
