"""The ``kinto`` source: records of the collections of a Kinto bucket, page by page."""

from datetime import UTC, datetime
from time import monotonic
from typing import Any, Literal

import requests
from pydantic import Field
from requests.auth import AuthBase

from bizon.common.errors.errors import SourceError
from bizon.common.waiting import rest
from bizon.source.auth.authenticators.basic import BasicHttpAuthParams
from bizon.source.auth.authenticators.token import TokenAuthParams
from bizon.source.auth.builder import AuthBuilder
from bizon.source.auth.config import AuthConfig, AuthType
from bizon.source.config import SourceConfig
from bizon.source.models import SourceIncrementalState, SourceIteration, SourceRecord
from bizon.source.pages import Page
from bizon.source.session import Session
from bizon.source.source import AbstractSource


class KintoAuth(AuthConfig):
    """An account of the server, or a token of its identity provider."""

    type: Literal[AuthType.BASIC, AuthType.BEARER] = Field(description="basic | bearer.")
    params: BasicHttpAuthParams | TokenAuthParams = Field(description="The account, or the token.")


class KintoSourceConfig(SourceConfig):
    """The ``source`` block: a server, a bucket, and the size of a page."""

    authentication: KintoAuth = Field(description="How to authenticate.")
    base_url: str = Field(
        default="https://kinto.example.com/v1",
        description="URL of the API, without a final slash.",
    )
    bucket: str = Field(default="blocklists", min_length=1, description="Bucket that holds the collections.")
    page_size: int = Field(default=100, ge=1, le=10000, description="Records per page; the server may send fewer.")


class AskedPauses:
    """The pauses that the server asks for. They are not a position, so they may be lost with the process."""

    def __init__(self, longest: float | None) -> None:
        self._longest, self._until = longest, 0.0

    def wait(self, sign: object) -> None:
        rest(max(0.0, self._until - monotonic()))

    def hold(self, seconds: float) -> None:
        bounded = seconds if self._longest is None else min(seconds, self._longest)
        self._until = max(self._until, monotonic() + bounded)

    def note(self, response: requests.Response, *_: object, **__: object) -> None:
        self.hold(float(response.headers.get("Backoff", 0)))


class KintoSource(AbstractSource):
    """Records of two collections.

    Changes and deletions come by ``_since``. A deletion is a record ``{"id", "last_modified", "deleted": true}``. The
    server forgets deletions whose tombstones its administrator purged.
    """

    config: KintoSourceConfig

    @staticmethod
    def streams() -> list[str]:
        return ["addons", "certificates"]

    @staticmethod
    def get_config_class() -> type[SourceConfig]:
        return KintoSourceConfig

    def get_authenticator(self) -> AuthBase | None:
        params = self.config.authentication.params
        if isinstance(params, BasicHttpAuthParams):
            return AuthBuilder.basic(params=params)
        return AuthBuilder.token(params=params)

    def get_session(self) -> Session:
        session, pauses = super().get_session(), AskedPauses(self.get_retry_policy().retry_after_max)
        session.keep_pace(pauses)
        session.hooks["response"].insert(0, pauses.note)  # before the hook that raises for a 4xx or 5xx
        return session

    def check_connection(self) -> tuple[bool, str | None]:
        try:
            self._fetch(_limit=1).list_at("data")
        except (requests.RequestException, SourceError) as error:
            return False, str(error)
        return True, None

    def get_total_records_count(self) -> int | None:
        headers = self.session.head(self._url).headers
        total = headers.get("Total-Objects") or headers.get("Total-Records")  # the name before Kinto 13
        return int(total) if total else None

    def get(self, pagination: dict[str, Any] | None = None) -> SourceIteration:
        return self._page(pagination or {})

    def get_records_after(
        self,
        source_state: SourceIncrementalState,
        pagination: dict[str, Any] | None = None,
    ) -> SourceIteration:
        etag = source_state.state.get("etag")
        if etag is None:  # the bound is excluded
            etag = f'"{int(source_state.last_run.timestamp() * 1000) - 1}"'
        return self._page(pagination or {}, _since=etag)

    @property
    def _url(self) -> str:
        return f"{self.config.base_url}/buckets/{self.config.bucket}/collections/{self.config.stream}/records"

    def _page(self, place: dict[str, Any], **since: str) -> SourceIteration:
        page = self._fetch(place["next_url"]) if place else self._fetch(**since)
        following = page.response.headers.get("Next-Page")
        if following and not following.startswith(f"{self.config.base_url}/"):
            raise page.refused("the next page is at another address")
        records = [
            SourceRecord(id=item["id"], data=item, timestamp=datetime.fromtimestamp(item["last_modified"] / 1000, UTC))
            for item in page.list_at("data")
        ]
        return SourceIteration(
            records=records,
            next_pagination={"next_url": following} if following else {},
            # Each answer carries an ETag. Changes made while later pages are read are newer than the first one.
            next_state=None if place else {"etag": page.response.headers["ETag"]},
        )

    def _fetch(self, url: str | None = None, **params: Any) -> Page:
        """One answer of the API, for a link to a page or for the parameters of the first."""
        if url is None:
            url, params = self._url, {"_sort": "id", "_limit": self.config.page_size, **params}
        return self.session.page("GET", url, params=params)
