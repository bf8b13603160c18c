"""The ``ledger`` source: lists of an HTTP API that wants each request signed, page by page."""

import hmac
from collections.abc import Callable
from datetime import datetime
from hashlib import sha256
from typing import Any, Literal
from urllib.parse import parse_qsl, urlencode, urlsplit

import requests
from pydantic import Field
from requests import PreparedRequest
from requests.auth import AuthBase

from bizon.common.clock import utc_now
from bizon.common.errors.errors import SourceError
from bizon.common.secret import learn
from bizon.source.auth.authenticators.basic import BasicHttpAuthParams
from bizon.source.auth.config import AuthConfig, AuthType
from bizon.source.config import SourceConfig
from bizon.source.models import SourceIncrementalState, SourceIteration, SourceRecord
from bizon.source.pages import Page
from bizon.source.source import AbstractSource


class KeyAuth(AuthConfig):
    """The key of an account."""

    type: Literal[AuthType.BASIC] = Field(description="basic.")
    params: BasicHttpAuthParams = Field(description="Id of the key as username, its secret as password.")


class LedgerSourceConfig(SourceConfig):
    """The ``source`` block: an API, and what to ask it for."""

    authentication: KeyAuth = Field(description="How to authenticate.")
    base_url: str = Field(
        default="https://api.example.com/v1",
        description="URL of the API, without a final slash.",
    )
    page_size: int = Field(default=100, ge=1, le=1000, description="Records per page.")


class SignedSession(AuthBase):
    """Adds the session of a login to each request, and signs method, path, sorted query, body and time.

    The login is signed too, and has no session yet."""

    def __init__(self, params: BasicHttpAuthParams, login_url: str, log_in: Callable[[], str]) -> None:
        self._key, self._secret = params.username, params.password
        self._login_url, self._log_in = login_url, log_in
        self._session: str | None = None

    def __call__(self, r: PreparedRequest) -> PreparedRequest:
        if r.url != self._login_url:
            r.headers["X-Session"] = self._session or self._new_session()
        body = r.body.encode() if isinstance(r.body, str) else bytes(r.body or b"")
        url = urlsplit(str(r.url))
        query = urlencode(sorted(parse_qsl(url.query, keep_blank_values=True)))
        moment = str(int(utc_now().timestamp() * 1000))
        text = "\n".join((str(r.method), url.path, query, sha256(body).hexdigest(), moment))
        signature = hmac.new(self._secret.encode(), text.encode(), sha256).hexdigest()
        r.headers.update({"X-Key": self._key, "X-Timestamp": moment, "X-Signature": signature})
        return r

    def sign_again(self, request: PreparedRequest) -> None:
        """Called before each retry: the API refuses a signature of 30 seconds ago."""
        self(request)

    def renew(self, request: PreparedRequest) -> bool:
        """Called after a 401: the session has expired, unless the login itself was refused."""
        if request.url == self._login_url:
            return False
        self._new_session()
        self(request)
        return True

    def _new_session(self) -> str:
        self._session = self._log_in()
        return self._session


class LedgerSource(AbstractSource):
    """Transfers and accounts. The API reports no deletions: schedule a ``bizon run --full-refresh`` to notice them."""

    config: LedgerSourceConfig

    @staticmethod
    def streams() -> list[str]:
        return ["transfers", "accounts"]

    @staticmethod
    def get_config_class() -> type[SourceConfig]:
        return LedgerSourceConfig

    def get_authenticator(self) -> AuthBase | None:
        return SignedSession(self.config.authentication.params, f"{self.config.base_url}/login", self._log_in)

    def _log_in(self) -> str:
        """A new session. The session of HTTP signs the login, so it asks the authenticator as well."""
        return learn(self.session.page("POST", f"{self.config.base_url}/login", json={})["session"])

    def check_connection(self) -> tuple[bool, str | None]:
        try:
            self._fetch_page({}, limit=1).list_at("items")
        except (requests.RequestException, SourceError) as error:
            return False, str(error)
        return True, None

    def get_total_records_count(self) -> int | None:
        total = self._fetch_page({}, limit=1).get("total")
        return total if isinstance(total, int) else None

    def get(self, pagination: dict[str, Any] | None = None) -> SourceIteration:
        items, following = self._page(pagination or {}, sort="id")
        return _iteration(items, following)

    def get_records_after(
        self,
        source_state: SourceIncrementalState,
        pagination: dict[str, Any] | None = None,
    ) -> SourceIteration:
        """Newest change first, and without an end: a transfer that changes meanwhile moves to the front. A page may
        repeat a transfer of the one before, and skips none."""
        asked = {"updated_since": source_state.last_run.isoformat(), "sort": "-updated_at,id"}
        items, following = self._page(pagination or {}, **asked)
        moment, covers = datetime.fromisoformat, source_state.covers
        return _iteration([item for item in items if covers(moment(item["updated_at"]))], following)

    def _page(self, place: dict[str, Any], **asked: str) -> tuple[list[Any], dict[str, Any]]:
        """The items of a page, and the pagination of the next one."""
        page = self._fetch_page(place, **asked)
        items = page.list_at("items")
        end = place.get("offset", 0) + len(items)
        following = {"offset": end} if end < page["total"] else {}
        if following and not items:
            raise page.refused(f"the list ends at {end} of {page['total']}")
        return items, following

    def _fetch_page(self, place: dict[str, Any], **params: Any) -> Page:
        """The page at this place; ``{}`` is the first."""
        url = f"{self.config.base_url}/{self.config.stream}"
        return self.session.page("GET", url, params={"limit": self.config.page_size, **params, **place})


def _iteration(items: list[Any], following: dict[str, Any]) -> SourceIteration:
    records = [SourceRecord(id=item["id"], data=item, timestamp=item["updated_at"]) for item in items]
    return SourceIteration(records=records, next_pagination=following)
