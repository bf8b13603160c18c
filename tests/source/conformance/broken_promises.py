"""Sources that break what they promise about changes, secrets, totals and credentials, each in one way."""

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import requests
from items_api import SOURCE_FILE, TOKEN
from loguru import logger as plain_logger

from bizon.source.config import SourceConfig
from bizon.source.discover import load_custom_source
from bizon.source.models import SourceIteration

Items: Any = load_custom_source(SOURCE_FILE)


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


class FiltersWhatItDeclaresWhole(Items):
    unfiltered_streams = ("items",)


class FetchesEverythingAndDeclaresIt(FetchesEverythingAgain):
    unfiltered_streams = ("items",)


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
