"""Asks an API, through the source ``rest``: what a guess describes is what a pipeline would do."""

import os
from contextlib import closing
from typing import TYPE_CHECKING, Any

import requests

from bizon.common.errors.errors import BizonError, SourceFetchError
from bizon.common.secret import learn
from bizon.connectors.sources.rest.src.source import RestSource
from bizon.engine.engine import load_config_dict

if TYPE_CHECKING:
    from bizon.connectors.sources.rest.src.answer import Answer
    from bizon.connectors.sources.rest.src.config import RestSourceConfig
    from bizon.scaffold.guess.asked import Asked

_HTTP = {"timeout": [10, 30], "retries": {"total": 2}}
_MOST_REQUESTS = 100  # for one guess; an API that ignores what it does not know is asked a dozen times


class Probe:
    """Used by one command, on one thread."""

    def __init__(self, asked: "Asked") -> None:
        self._asked = asked
        self._requests = 0

    def answer(self, params: dict[str, Any]) -> "Answer":
        """The answer to a request with these parameters. Raises SourceFetchError, on one line."""
        with closing(self._source({"params": params})) as source:
            try:
                found = source.first_answer()
            except (requests.RequestException, ValueError) as error:
                raise SourceFetchError(str(error)) from None
        if isinstance(found, str):
            raise SourceFetchError(found)
        return found

    def first_page(self, endpoint: dict[str, Any], params: dict[str, Any]) -> list[dict[str, Any]] | None:
        """The records of the first page with more parameters; None when that fails."""
        found = self.pages({**endpoint, "params": {**endpoint["params"], **params}}, 1)
        return found[0] if found else None

    def pages(
        self, endpoint: dict[str, Any], count: int = 2, *, is_last: bool = False
    ) -> list[list[dict[str, Any]]] | None:
        """The records of the first pages, as the source reads them; None when that fails, and after too many requests
        unless they are the last ones."""
        if self._requests >= _MOST_REQUESTS and not is_last:
            return None
        found: list[list[dict[str, Any]]] = []
        place: dict[str, Any] = {}
        try:
            with closing(self._source(endpoint)) as source:
                while len(found) < count and (place or not found):
                    self._requests += 1
                    page = source.get(place)
                    found.append([each.data for each in page.records])  # type: ignore[union-attr]  # of this source
                    place = page.next_pagination
        except (requests.RequestException, BizonError, ValueError):
            return None
        return found

    def config(self, endpoint: dict[str, Any]) -> "RestSourceConfig":
        """The configuration of a pipeline with this endpoint. Raises ConfigError."""
        asked = self._asked
        full = {"path": asked.path, "params": asked.params, **endpoint}
        source = {
            "name": "rest",
            "stream": asked.stream,
            "http": _HTTP,
            **asked.block,
            "endpoints": {asked.stream: full},
        }
        pipeline = {"name": "guess", "source": source, "destination": {"name": "logger"}}
        loaded = load_config_dict(pipeline, environ={**os.environ, **asked.secrets})
        for secret in loaded.secrets:  # of references in the options, too
            learn(secret)
        found: RestSourceConfig = loaded.config.source  # type: ignore[assignment]  # of its name
        return found

    def _source(self, endpoint: dict[str, Any]) -> RestSource:
        return RestSource(self.config(endpoint))
