"""A token that expires and is renewed (OAuth 2.0, RFC 6749)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from http import HTTPStatus
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

import requests
from requests import PreparedRequest

from bizon.common.clock import utc_now
from bizon.common.errors.errors import SourceConnectionError
from bizon.common.kept_tokens import token_keeper
from bizon.common.secret import Secret, learn
from bizon.source.auth.authenticators.header import HeaderAuthenticator
from bizon.source.auth.authenticators.oauth_answer import fields_of, replacement_time
from bizon.source.auth.authenticators.oauth_params import Oauth2AuthParams
from bizon.source.auth.authenticators.sealing import Seal

if TYPE_CHECKING:
    from bizon.common.kept_tokens import TokenKeeper

__all__ = ["Oauth2AuthParams", "Oauth2Authenticator"]

_TIMEOUT = (10.0, 60.0)  # seconds to connect, to wait for the answer
_MOST_REDIRECTS = 5
_NAMED_REFUSALS = frozenset(
    {
        "invalid_request",
        "invalid_client",
        "invalid_grant",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_scope",
    }
)  # RFC 6749, 5.2: the only words of an answer that may be repeated


class Oauth2Authenticator(HeaderAuthenticator):
    """Adds an access token to every request of a session, and renews it shortly before it expires.

    Called by requests on the threads that fetch; they share one token. The first request fetches it. A token without a
    lifetime, neither in the answer nor configured, serves the whole run. A token that is refused before it expires is
    renewed once per request. Raises SourceConnectionError when no token can be obtained.

    When the endpoint replaces the refresh token (rotation), the state keeps the new one before it, or its access token,
    is used; outside a run it is kept in memory. Runs that share a state and a refresh token take turns. Not promised:
    recovery from a kill in the milliseconds after the endpoint has replaced the token and before the state keeps it. If
    the endpoint no longer accepts the old token, it must be authorised again.

    ``session`` sends the renewal with its own retries; ``AuthBuilder.oauth2`` passes a session that retries.
    ``clock`` returns the time, aware and in UTC.
    """

    def __init__(
        self,
        params: Oauth2AuthParams,
        session: requests.Session | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._params = params
        self._session = session or requests.Session()
        self._clock = clock
        self._lock = Lock()
        self._access_token = ""
        self._refresh_token = params.refresh_token
        self._replace_at: datetime | None = None
        self._place = f"token endpoint {_shown(params.token_refresh_endpoint)}"
        self._keeper = token_keeper()
        place = f"{self._place}\0{params.client_id}"
        self._seal = None if params.refresh_token is None else Seal(params.refresh_token, place)

    @property
    def auth_header(self) -> str:
        """Name of the header."""
        return "Authorization"

    @property
    def access_token(self) -> str:
        """A valid token, renewed if necessary. Blocks while another thread renews it."""
        with self._lock:
            if self._replace_at is None or self._clock() >= self._replace_at:
                self._refresh()
            return self._access_token

    @property
    def token(self) -> str:
        """Value of the header."""
        return f"Bearer {self.access_token}"

    def sign_again(self, request: PreparedRequest) -> None:
        """Called before a retry: the token may have expired during the wait."""
        if self.auth_header in request.headers:
            self(request)

    def renew(self, request: PreparedRequest) -> bool:
        """Called for a request that got a 401. True when it now carries another token: a new one, or one that another
        thread has fetched meanwhile."""
        refused = request.headers.get(self.auth_header)
        if refused is None:
            return False
        with self._lock:
            if refused == f"Bearer {self._access_token}":
                self._replace_at = None
        self(request)
        return True

    def _refresh(self) -> None:
        with self._newest_refresh_token():
            asked_at = self._clock()
            fields = fields_of(self._ask(), self._params.response_field_path or "", self._place)
            rotated = fields.get("refresh_token")
            if isinstance(rotated, str) and rotated and rotated != self._refresh_token:
                self._keep(Secret(learn(rotated)))
        token = fields.get(self._params.access_token_name)
        if not isinstance(token, str) or not token:
            raise SourceConnectionError(
                f"{self._place}: no '{self._params.access_token_name}' in the answer{self._hint(fields)}; "
                "set access_token_name or response_field_path"
            )
        replace_at = replacement_time(self._params, fields, asked_at, self._place)
        self._access_token, self._replace_at = Secret(learn(token)), replace_at

    @contextmanager
    def _newest_refresh_token(self) -> Iterator[None]:
        """Within: the refresh token is the newest one, and no other run renews it."""
        keeper = self._found_keeper()
        if keeper is None or self._seal is None:
            yield
            return
        with keeper.exclusive(self._seal.name):
            kept = keeper.read(self._seal.name)
            opened = None if kept is None else self._seal.opened(kept)
            if opened is not None:
                self._refresh_token = Secret(learn(opened))
            yield

    def _found_keeper(self) -> "TokenKeeper | None":
        """The keeper of the run that created the authenticator, or else of the run that uses it."""
        return self._keeper or token_keeper()

    def _keep(self, rotated: Secret) -> None:
        self._refresh_token = rotated
        keeper = self._found_keeper()
        if keeper is not None and self._seal is not None:
            keeper.write(self._seal.name, self._seal.closed(rotated))

    def _ask(self) -> Any:
        try:
            response = self._post()
            response.raise_for_status()
        except requests.HTTPError as error:
            raise self._refused(error.response) from None
        except requests.RequestException as error:
            raise SourceConnectionError(f"{self._place} is unreachable: {type(error).__name__}") from None
        try:
            return response.json()
        except requests.JSONDecodeError:
            raise SourceConnectionError(f"{self._place}: the answer is not JSON") from None

    def _post(self) -> requests.Response:
        """The answer to the form. Redirects are followed on the same host only."""
        url = self._params.token_refresh_endpoint
        for _ in range(_MOST_REDIRECTS):
            response = self._session.post(
                url,
                data=self._form(),
                headers={"Accept": "application/json"},
                timeout=_TIMEOUT,
                allow_redirects=False,
                auth=self._session.auth or _as_it_is,
            )
            if not response.is_redirect:
                return response
            target = urljoin(url, response.headers["location"])
            if self._session.should_strip_auth(url, target):  # type: ignore[no-untyped-call]  # no stub
                raise SourceConnectionError(
                    f"{self._place} redirects to {_shown(target)}, which does not get the credentials; if it is the "
                    "right one, set token_refresh_endpoint to it"
                )
            url = target
        raise SourceConnectionError(f"{self._place} redirects without end")

    def _form(self) -> dict[str, str]:
        params = self._params
        form = {"grant_type": params.grant_type, "client_id": params.client_id, "client_secret": params.client_secret}
        if self._refresh_token is not None:
            form["refresh_token"] = self._refresh_token
        if params.scopes:
            form["scope"] = ",".join(params.scopes)
        return {**(params.refresh_request_body or {}), **form}

    def _refused(self, response: requests.Response) -> SourceConnectionError:
        try:
            word = response.json()["error"]
        except (ValueError, KeyError, TypeError):
            word = None
        detail = f" ({word})" if isinstance(word, str) and word in _NAMED_REFUSALS else ""
        status = response.status_code
        error = SourceConnectionError(
            f"{self._place} refused the credentials or the request: HTTP {status}{detail}; "
            f"check client_id, client_secret, refresh_token, grant_type and scopes{self._about_rotation()}"
        )
        error.retryable = status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS
        return error

    def _about_rotation(self) -> str:
        if self._refresh_token == self._params.refresh_token:
            return ""
        return "; the refresh token was replaced since it was configured: if it was revoked, configure a new one"

    @staticmethod
    def _hint(fields: dict[str, Any]) -> str:
        return f", which has {', '.join(sorted(map(str, fields))) or 'no keys'}"


def _shown(url: str) -> str:
    """Host and path of a URL."""
    parts = urlsplit(url)
    return f"{parts.netloc.rpartition('@')[2]}{parts.path}"


def _as_it_is(request: PreparedRequest) -> PreparedRequest:
    """Prevents the use of ``~/.netrc``: the credentials are in the form."""
    return request
