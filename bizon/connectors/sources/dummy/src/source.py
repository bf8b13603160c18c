"""The ``dummy`` source: a small API that exists only in this file, for first steps and tests."""

import time
from typing import Any

from requests.auth import AuthBase

from bizon.connectors.sources.dummy.src.config import DummySourceConfig, DummyStreams
from bizon.source.auth.authenticators.token import TokenAuthParams
from bizon.source.auth.builder import AuthBuilder
from bizon.source.config import SourceConfig, SourceSyncModes
from bizon.source.models import SourceIteration, SourceRecord
from bizon.source.source import AbstractSource

_IDS_AND_AGES: tuple[tuple[int, int], ...] = ((9898, 26), (88787, 23), (98, 26), (3333, 23), (56565, 26))
_NAMES: dict[DummyStreams, tuple[str, ...]] = {
    DummyStreams.CREATURES: ("bizon", "croco", "froggy", "turtle", "poulpo"),
    DummyStreams.PLANTS: ("tree", "flower", "cactus", "bamboo", "rose"),
}
_ROUTED_CURSOR = "final-cursor"
_PAGES: dict[str | None, tuple[slice, str | None]] = {  # cursor of a page -> its records, cursor of the next page
    None: (slice(0, 2), "vfvfvuhfefpeiduzhihxb"),
    "vfvfvuhfefpeiduzhihxb": (slice(2, 4), _ROUTED_CURSOR),
    _ROUTED_CURSOR: (slice(4, 5), None),
}


class DummySource(AbstractSource):
    """Sends no request at all, so ``oauth`` never asks for a token.

    In sync mode ``stream`` it keeps its own position: ``get`` without pagination returns the next page, and empty pages
    after the last one.
    """

    config: DummySourceConfig
    fetches_over_http = False
    checks_credentials = False

    def __init__(self, config: DummySourceConfig) -> None:
        super().__init__(config)
        self._is_stream = config.sync_mode is SourceSyncModes.STREAM
        self._stream_cursor: str | None = None
        self._stream_is_empty = False

    @staticmethod
    def streams() -> list[str]:
        return [stream.value for stream in DummyStreams]

    @staticmethod
    def get_config_class() -> type[SourceConfig]:
        return DummySourceConfig

    def get_authenticator(self) -> AuthBase:
        params = self.config.authentication.params
        return AuthBuilder.token(params) if isinstance(params, TokenAuthParams) else AuthBuilder.oauth2(params)

    def check_connection(self) -> tuple[bool, Any | None]:
        return True, None

    def get_total_records_count(self) -> int:
        return len(_IDS_AND_AGES)

    def get(self, pagination: dict[str, Any] | None = None) -> SourceIteration:
        if self.config.sleep:
            time.sleep(self.config.sleep)
        if not self._is_stream:
            return self._page(pagination["cursor"] if pagination else None)
        if self._stream_is_empty:
            return SourceIteration(next_pagination={}, records=[])
        page = self._page(pagination["cursor"] if pagination else self._stream_cursor)
        self._stream_cursor = page.next_pagination.get("cursor")
        self._stream_is_empty = self._stream_cursor is None
        return page

    def _page(self, cursor: str | None) -> SourceIteration:
        if cursor not in _PAGES:
            raise ValueError(f"stream 'dummy.{self.config.stream}' has no page with cursor {cursor!r}")
        rows, next_cursor = _PAGES[cursor]
        names = _NAMES[DummyStreams(self.config.stream)][rows]
        destination_id = None
        if self._is_stream:
            destination_id = "routed" if next_cursor == _ROUTED_CURSOR else self.config.stream
        records = [
            SourceRecord(id=id, data={"id": id, "name": name, "age": age}, destination_id=destination_id)
            for name, (id, age) in zip(names, _IDS_AND_AGES[rows], strict=True)
        ]
        return SourceIteration(next_pagination={"cursor": next_cursor} if next_cursor else {}, records=records)
