"""The ``rest`` source: any JSON API, described in YAML."""

from typing import TYPE_CHECKING, Any

import requests
from requests.auth import AuthBase

from bizon.common.clock import utc_now
from bizon.common.errors.errors import SourceError
from bizon.connectors.sources.rest.src.answer import Api
from bizon.connectors.sources.rest.src.build import Builder
from bizon.connectors.sources.rest.src.client import Client
from bizon.connectors.sources.rest.src.config import RestHttpConfig, RestSourceConfig
from bizon.connectors.sources.rest.src.hidden import Hidden
from bizon.connectors.sources.rest.src.lists import NOBODY, Lists, Place
from bizon.connectors.sources.rest.src.parents import Alone, Children, Reader
from bizon.connectors.sources.rest.src.placement import authenticator_of
from bizon.connectors.sources.rest.src.tokens import Tokens
from bizon.connectors.sources.rest.src.windows import Bounds, Window, Windows, parts_of
from bizon.source.ahead import Ahead
from bizon.source.models import OfferedStream, SourceIncrementalState, SourceIteration
from bizon.source.pace import pace_of
from bizon.source.source import AbstractSource

if TYPE_CHECKING:
    from bizon.connectors.sources.rest.src.answer import Answer
    from bizon.connectors.sources.rest.src.endpoint_config import ErrorRule
    from bizon.source.config import SourceConfig
    from bizon.source.session import Session


class RestSource(AbstractSource):
    """Reads one endpoint of the configuration, and the endpoints of its parents. A page is one request, and one more
    for each page of parents."""

    config: RestSourceConfig

    def __init__(self, config: RestSourceConfig) -> None:
        super().__init__(config)
        self._lists: list[Lists] = []
        http = self._http
        self._ahead: Ahead[Any, Answer | str] = Ahead(http.concurrency)
        api = Api(config.base_url, config.hidden_params, config.token_in_path)
        self._client = Client(self.session, api, http.retries, config.window_overlap if config.is_incremental else None)
        self._tokens = Tokens(Hidden(config))
        self._reader = self._reader_of(config.stream)

    @staticmethod
    def streams() -> list[str]:
        return ["*"]

    @staticmethod
    def get_config_class() -> "type[SourceConfig]":
        return RestSourceConfig

    def get_authenticator(self) -> AuthBase | None:
        return authenticator_of(self.config.authentication, self.config.signing)

    def get_session(self) -> "Session":
        session = super().get_session()
        if self._http.rate is not None:
            session.keep_pace(pace_of(self.config.base_url, self._http.rate))
        return session

    def check_connection(self) -> tuple[bool, Any | None]:
        """Asks for the first page, of the topmost parents where there are any. ``get`` uses the answer."""
        try:
            self._reader.check(self._own)
        except (requests.RequestException, SourceError, ValueError) as error:
            return False, str(error)
        return True, None

    def first_answer(self) -> "Answer | str":
        """The whole answer to the first request of the stream, or why it was refused, for `bizon source guess`. Raises
        as `requests` does, and ValueError for a body that cannot be read."""
        parts = Builder(self.config, self.config.endpoint)(NOBODY, Window()).finished()
        return self._client.send(parts, [], "auto")

    def get_partitions(self) -> list[dict[str, Any]]:
        """For children, groups of parents. Else the windows of a history that begins at ``incremental.start``, for the
        first run of sync mode incremental: a record that changes, and so moves to a window that was read before, comes
        with the next run. None with ``http.rate``, which bounds the requests of a single process."""
        endpoint = self.config.endpoint
        if self._http.rate is not None:
            return []
        if endpoint.parent is not None:
            return self._reader.parts()
        if not self.config.is_incremental:
            return []
        return parts_of(Windows(endpoint.incremental, self._whole(self.config.stream)))

    def get(self, pagination: dict[str, Any] | None = None) -> SourceIteration:
        """A page of the whole stream, since ``incremental.start`` if that is set, or of a partition."""
        return self._page(pagination, self._own)

    def get_records_after(
        self, source_state: SourceIncrementalState, pagination: dict[str, Any] | None = None
    ) -> SourceIteration:
        """A page of the changes in the window. Raises SourceError for an endpoint without ``incremental``."""
        limits = self.config.endpoint.incremental
        if limits is None:
            raise SourceError(f"endpoint '{self.config.stream}' has no key `incremental`: it cannot tell what changed")
        until = source_state.run_started_at
        return self._page(pagination, Bounds(Window(source_state.last_run, until), until or utc_now()))

    def offered_streams(self) -> list[OfferedStream]:
        """The endpoints of the configuration. Nothing is asked for."""
        return [
            OfferedStream(name, each.path, is_incremental=each.incremental is not None)
            for name, each in self.config.endpoints.items()
        ]

    def skips(self, status: int) -> bool:
        """Decided by the first rule for such an answer, whatever its content."""
        rule = next((rule for rule in self._rules_of(self.config.stream) if rule.fits(status, None)), None)
        return rule is not None and rule.then == "skip"

    def close(self) -> None:
        self._ahead.close()
        super().close()

    @property
    def _http(self) -> RestHttpConfig:
        return self.config.http or RestHttpConfig(retries=self._http_config().retries)

    def _page(self, pagination: dict[str, Any] | None, bounds: Bounds) -> SourceIteration:
        found, following = self._reader.step(pagination or self._start, bounds)
        if following is None:
            for lists in self._lists:
                lists.report()
        return SourceIteration(records=found.records, next_pagination=following or {})

    @property
    def _own(self) -> Bounds:
        """The records of the stream, or of the partition."""
        bounds, part = self._whole(self.config.stream), self.partition or {}
        return bounds._replace(window=Window.from_json(part["window"])) if "window" in part else bounds

    @property
    def _start(self) -> Place:
        """Where a stream begins, or a partition of parents."""
        part = self.partition or {}
        return part if "waiting" in part else {}

    def _whole(self, stream: str) -> Bounds:
        """The records that a full refresh of an endpoint reads."""
        limits = self.config.endpoints[stream].incremental
        return Bounds(Window(None if limits is None else limits.start, None), utc_now())

    def _rules_of(self, stream: str) -> "list[ErrorRule]":
        return [*self.config.endpoints[stream].errors, *self.config.defaults.errors]

    def _reader_of(self, stream: str) -> Reader:
        config, endpoint = self.config, self.config.endpoints[stream]
        build = Builder(config, endpoint)
        pages = config.pages_of(endpoint)
        rules = self._rules_of(stream)
        lists = Lists(stream, endpoint, pages, rules, self._client, self._ahead, build, self._tokens)
        self._lists.append(lists)
        if endpoint.parent is None:
            return Alone(lists)
        above = endpoint.parent.stream
        parents = self._reader_of(above)
        return Children(stream, endpoint.parent, endpoint.keys_of("parent"), parents, lists, self._whole(above))
