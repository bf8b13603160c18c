"""The HTTP exchange of a source on disk, by vcrpy: recorded without secrets, replayed without a network.

A recording is a folder: ``exchange.yaml``, the cassette; ``recording.json``, the moment of the recording and the
variables of the configuration. Both are text and can be committed. Imported only for ``--record`` and ``--replay``,
since vcrpy is the extra ``testing``.
"""

import json
import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest.mock import patch
from urllib.parse import unquote_plus

import vcr
from vcr.errors import UnhandledHTTPRequestError
from vcr.persisters.filesystem import CassetteNotFoundError, FilesystemPersister

from bizon.common.errors.errors import ConfigError, SourceFetchError
from bizon.source.body import shown_url
from bizon.testing.source_faults import ORIGIN

if TYPE_CHECKING:
    from bizon.testing.source_masks import Masks

_EXCHANGE, _RECORDING = "exchange.yaml", "recording.json"


class Recording(NamedTuple):
    """``recording.json``: ``began``, from which windows are counted, and the variables, secrets as placeholders."""

    began: datetime
    variables: dict[str, str]


def read_recording(folder: Path) -> Recording:
    """Raises ConfigError for a folder without a recording."""
    try:
        found = json.loads((folder / _RECORDING).read_text(encoding="utf-8"))
        recording = Recording(datetime.fromisoformat(found["began"]), dict(found["variables"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"--replay {folder}: no recording there ({error}); make one with --record {folder}") from None
    if not (folder / _EXCHANGE).is_file():
        raise ConfigError(f"--replay {folder}: {_EXCHANGE} is missing; record again with --record {folder}")
    return recording


@contextmanager
def recorded(folder: Path, began: datetime, variables: Mapping[str, str], masks: "Masks") -> Iterator[None]:
    """Within: every HTTP exchange is kept. The folder is written at the end. Raises ConfigError when it cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / _RECORDING).touch()
    except OSError as error:
        raise ConfigError(f"--record {folder}: cannot be written: {error.strerror}") from None
    with _recorder(masks, "all").use_cassette(str(folder / _EXCHANGE)):
        yield
    kept = {"began": began.isoformat(), "variables": {name: masks.text(value) for name, value in variables.items()}}
    (folder / _RECORDING).write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")


@contextmanager
def replayed(folder: Path, masks: "Masks") -> Iterator[None]:
    """Within: every request is answered by the recording; equal requests in its order, and then by the last answer.
    A request that it lacks raises SourceFetchError."""
    with _recorder(masks, "none").use_cassette(str(folder / _EXCHANGE)) as cassette:
        player = _Player(cassette)
        with (
            patch.object(cassette, "can_play_response_for", player.has),
            patch.object(cassette, "play_response", player.next),
        ):
            yield


class _Player:
    """Chooses the answer to a request. vcrpy itself either never repeats an answer or always gives the first one."""

    def __init__(self, cassette: Any) -> None:
        self._cassette = cassette
        self._played: Counter[tuple[str, ...]] = Counter()

    def has(self, request: Any) -> bool:
        if self._cassette.filter_request(request) is None:
            return False
        try:
            return bool(self._cassette.responses_of(request))
        except UnhandledHTTPRequestError:
            raise SourceFetchError(
                f"the recording has no answer to {request.method} {shown_url(request.uri)}; record again with --record"
            ) from None

    def next(self, request: Any) -> Any:
        key = _key(self._cassette.filter_request(request))
        answers = self._cassette.responses_of(request)
        self._played[key] += 1
        return answers[min(self._played[key], len(answers)) - 1]


def _recorder(masks: "Masks", mode: str) -> Any:
    logging.getLogger("vcr").setLevel(logging.WARNING)  # below, it logs whole URLs
    recorder = vcr.VCR(
        record_mode=mode,
        before_record_request=lambda request: _seen(request, masks, is_replay=mode == "none"),
        decode_compressed_response=True,
        match_on=["bizon"],
    )
    recorder.register_matcher("bizon", _is_same)
    recorder.register_persister(_Masking(masks, reads=mode == "none"))
    return recorder


def _seen(request: Any, masks: "Masks", *, is_replay: bool) -> Any:
    """A request as it is matched; None for one of the detour, which is between this process and itself."""
    if any(name.lower() == ORIGIN.lower() for name in request.headers):
        return None
    return _masked_request(request, masks) if is_replay else request


def _masked_request(request: Any, masks: "Masks") -> Any:
    masked = copy(request)
    masked.uri = masks.text(request.uri)
    masked.headers = masks.request_headers(request.headers)
    if request.body is not None:
        masked.body = masks.body(_as_bytes(request.body))
    return masked


def _masked_answer(answer: Mapping[str, Any], masks: "Masks") -> dict[str, Any]:
    body = masks.body(_as_bytes(answer["body"]["string"]))
    return {**answer, "headers": masks.answer_headers(answer["headers"]), "body": {"string": body}}


def _is_same(one: Any, other: Any) -> bool:
    return _key(one) == _key(other)


def _key(request: Any) -> tuple[str, ...]:
    """The parts of a request that are compared. Placeholders may be percent-encoded in one of two requests."""
    body = _as_bytes(request.body or b"").decode("latin-1")
    return request.method, unquote_plus(request.uri), unquote_plus(body)


def _as_bytes(value: Any) -> bytes:
    if hasattr(value, "read"):
        value = value.read()
    return value.encode() if isinstance(value, str) else bytes(value)


class _Masking:
    """Writes cassettes without secrets. A recording never begins with an older one."""

    def __init__(self, masks: "Masks", *, reads: bool) -> None:
        self._masks = masks
        self._reads = reads

    def load_cassette(self, path: str, serializer: Any) -> Any:
        if not self._reads:
            raise CassetteNotFoundError
        return FilesystemPersister.load_cassette(path, serializer)

    def save_cassette(self, path: str, cassette: dict[str, Any], serializer: Any) -> None:
        """First every secret is learned from the whole exchange, then it is masked: a token may travel before the
        answer that names it."""
        masks = self._masks
        for request, answer in zip(cassette["requests"], cassette["responses"], strict=True):
            masks.learn_from(_as_bytes(request.body or b""), request.uri)
            masks.learn_from(_as_bytes(answer["body"]["string"]))
        masked = {
            "requests": [_masked_request(each, masks) for each in cassette["requests"]],
            "responses": [_masked_answer(each, masks) for each in cassette["responses"]],
        }
        FilesystemPersister.save_cassette(path, masked, serializer)
