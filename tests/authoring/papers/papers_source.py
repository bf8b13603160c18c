"""The ``papers`` source: the results of a search, page by page, with the query in the body."""

from typing import Any, Literal

import requests
from pydantic import Field
from requests.auth import AuthBase

from bizon.common.errors.errors import SourceError
from bizon.source.auth.authenticators.token import TokenAuthParams
from bizon.source.auth.builder import AuthBuilder
from bizon.source.auth.config import AuthConfig, AuthType
from bizon.source.config import SourceConfig
from bizon.source.models import SourceIncrementalState, SourceIteration, SourceRecord
from bizon.source.pages import Page
from bizon.source.source import AbstractSource


class KeyParams(TokenAuthParams):
    """The key of an account, in its own header."""

    auth_header: str = Field(default="X-Api-Key", description="Header that carries the key.")
    auth_method: str = Field(default="", description="Word before the key.")


class KeyAuth(AuthConfig):
    """The key of an account."""

    type: Literal[AuthType.API_KEY] = Field(description="api_key.")
    params: KeyParams = Field(description="The key.")


class PapersSourceConfig(SourceConfig):
    """The ``source`` block: an API, and what to ask it for."""

    authentication: KeyAuth = Field(description="How to authenticate.")
    base_url: str = Field(
        default="https://api.example.com/v1",
        description="URL of the API, without a final slash.",
    )
    page_size: int = Field(default=100, ge=1, le=1000, description="Records per page.")


class PapersSource(AbstractSource):
    """Papers and authors. The API reports no deletions: schedule a ``bizon run --full-refresh``."""

    config: PapersSourceConfig

    @staticmethod
    def streams() -> list[str]:
        return ["papers", "authors"]

    @staticmethod
    def get_config_class() -> type[SourceConfig]:
        return PapersSourceConfig

    def get_authenticator(self) -> AuthBase | None:
        return AuthBuilder.token(params=self.config.authentication.params)

    def check_connection(self) -> tuple[bool, str | None]:
        try:
            self._fetch({}, size=1).list_at("results")
        except (requests.RequestException, SourceError) as error:
            return False, str(error)
        return True, None

    def get_total_records_count(self) -> int | None:
        total = self._fetch({}, size=1).get("total")
        return total if isinstance(total, int) else None

    def get(self, pagination: dict[str, Any] | None = None) -> SourceIteration:
        return self._page(pagination or {})

    def get_records_after(
        self,
        source_state: SourceIncrementalState,
        pagination: dict[str, Any] | None = None,
    ) -> SourceIteration:
        window = {"gte": source_state.last_run.isoformat()}
        if source_state.run_started_at is not None:
            window["lt"] = source_state.run_started_at.isoformat()
        return self._page(pagination or {}, updated_at=window)

    def _page(self, place: dict[str, Any], **filters: Any) -> SourceIteration:
        page = self._fetch(filters, size=self.config.page_size, **place)
        records = [
            SourceRecord(id=item["id"], data=item, timestamp=item["updated_at"]) for item in page.list_at("results")
        ]
        after = page["page"]["after"]
        return SourceIteration(records=records, next_pagination={"after": after} if after else {})

    def _fetch(self, filters: dict[str, Any], **place: Any) -> Page:
        """One answer of the API: the results of these filters, at this place."""
        question = {"query": {"type": self.config.stream, **filters}, "page": place}
        return self.session.page("POST", f"{self.config.base_url}/search", json=question, limited=self._seconds_to_wait)

    @staticmethod
    def _seconds_to_wait(page: Page) -> float | None:
        error = page.get("error") or {}
        return float(error.get("retry_after_ms", 0)) / 1000 if error.get("code") == "rate_limited" else None
