"""From the keys of an endpoint to the request for one of its lists."""

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from bizon.connectors.sources.rest.src.filling import (
    body_without,
    filled,
    filled_text,
    filled_texts,
    learn_as_sent,
    without,
)
from bizon.connectors.sources.rest.src.request import PAGE, Parts, joined
from bizon.connectors.sources.rest.src.windows import Window, written

if TYPE_CHECKING:
    from bizon.connectors.sources.rest.src.config import RestSourceConfig
    from bizon.connectors.sources.rest.src.endpoint_config import EndpointConfig
    from bizon.connectors.sources.rest.src.lists import Parent

_ENDS = frozenset({"since", "until"})


class Builder:
    """Makes the request for the list of a parent in a window. Called on the threads that fetch."""

    def __init__(self, config: "RestSourceConfig", endpoint: "EndpointConfig") -> None:
        self._config = config
        self._endpoint = endpoint
        defaults = config.defaults
        self._params = {**defaults.params, **endpoint.params}
        lowered = {name.lower() for name in endpoint.headers}
        usual = {name: value for name, value in defaults.headers.items() if name.lower() not in lowered}
        self._variables = {f"variables.{name}": value for name, value in config.variables.items()}
        self._headers = {**usual, **endpoint.headers}
        learn_as_sent([self._params, self._headers])

    def __call__(self, parent: "Parent", window: Window) -> Parts:
        limits = self._endpoint.incremental
        ends = {} if limits is None else written(window, limits)
        names = {f"parent.{key}": value for key, value in parent.keys.items()} | self._variables | ends
        absent = _ENDS - ends.keys()

        params, headers = (filled_texts(without(each, absent), names) for each in (self._params, self._headers))
        body = filled(body_without(self._endpoint.json_, absent), names)
        path = filled_text(self._endpoint.path, {**names, **self._in_urls}, in_path=True)
        url = joined(filled_text(self._config.base_url, {**self._in_urls, "token": self._quoted_token}), path)
        parts = Parts(self._endpoint.method, url, params, headers, body)
        for end, bound in (("since", limits and limits.since), ("until", limits and limits.until)):
            if bound and bound.param is not None and end in ends:
                parts.put(bound.where, bound.param, ends[end])
        return parts

    @property
    def _quoted_token(self) -> str | None:
        token = self._config.token_in_path
        return None if token is None else quote(token, safe="")

    @property
    def _in_urls(self) -> dict[str, Any]:
        return {"page": PAGE, "token": self._config.token_in_path, **self._variables}
