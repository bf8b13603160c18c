"""Secrets and personal values in recorded HTTP, replaced by numbered placeholders.

A placeholder is the same for the same value everywhere, in every encoding. So a recording still fits together: a token
of an answer is the token of the next request. The secrets of the configuration have the first numbers, in the order of
the configuration: the same pipeline with other secrets, or with none, has the same placeholders.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

import orjson

from bizon.common.secret import is_maskable, iter_secrets
from bizon.common.secret_forms import forms_of
from bizon.common.secret_shapes import SHAPES, is_secret_field, named_secrets
from bizon.source.body import decode_json

if TYPE_CHECKING:
    from bizon.config.loading import LoadedConfig

HIDDEN = "masked-0"
"""The placeholder of everything that is hidden as a whole."""

WRONG = "masked-000"
"""Credentials that no API accepts. A placeholder, so that a recording and its replay send the same."""

_PLACEHOLDER = re.compile(r"masked-\d+")
_KEPT_IN_REQUESTS = frozenset(
    {"accept", "accept-encoding", "accept-language", "connection", "content-length", "content-type", "host", "range"}
    | {"user-agent", "if-modified-since", "if-none-match"}
)
_HIDDEN_IN_ANSWERS = re.compile(
    r"auth|cookie|credential|secret|session|signature|password|(?:api|access|private)-?key|csrf|xsrf|user|email|account"
    r"|customer|tenant|organi[sz]ation|workspace|forwarded|client-ip|real-ip|connecting-ip|^from$",
    re.IGNORECASE,
)
_TEXT_OF_JSON = re.compile(r'"(?:[^"\\\n]|\\.)*"')
_CREDENTIALS = re.compile(r"key|auth|jwt|code|pwd|hmac", re.IGNORECASE)


class Masks:
    """The placeholders of one recording. ``secrets``: of the configuration, in its order."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._placeholders: dict[str, str] = {}
        self._forms: list[tuple[str, str]] | None = None
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str) -> None:
        """Hide one more value. Texts of fewer than 4 characters are ignored: they occur everywhere."""
        if is_maskable(secret) and secret not in self._placeholders:
            is_one = _PLACEHOLDER.fullmatch(secret) is not None  # of a recording that is replayed
            self._placeholders[secret] = secret if is_one else f"masked-{len(self._placeholders) + 1}"
            self._forms = None

    def learn_from(self, body: bytes, url: str = "") -> None:
        """Hide the values of fields and parameters that are named like secrets."""
        for name, value in parse_qsl(urlsplit(url).query):
            if is_secret_field(name) or _CREDENTIALS.fullmatch(name):
                self.add(value)
        try:
            found = orjson.loads(decode_json(body))
        except ValueError:
            found = dict(parse_qsl(body.decode("utf-8", "replace")))
        for value in named_secrets(found):
            self.add(value)

    def text(self, text: str) -> str:
        """The text with placeholders."""
        for form, placeholder in self._all_forms():
            if form in text:
                text = text.replace(form, placeholder)
        lowered = text.lower()
        for sign, pattern in SHAPES:
            if sign in lowered:
                text = re.sub(pattern, _hidden, text)
        return text

    def body(self, body: bytes) -> bytes:
        """The same for a body. One that has to be changed becomes UTF-8 if it is text."""
        try:
            text = decode_json(body)
        except UnicodeDecodeError:
            for form, placeholder in self._all_forms():
                body = body.replace(form.encode("utf-8", "replace"), placeholder.encode())
            return body
        masked = self.text(_TEXT_OF_JSON.sub(self._of_json, text))
        return body if masked == text else masked.encode("utf-8", "surrogatepass")

    def _of_json(self, found: re.Match[str]) -> str:
        """A text in JSON, with placeholders in what it means: an API may repeat a secret that was encoded before."""
        try:
            text = json.loads(found[0])
        except ValueError:
            return found[0]
        masked = self.text(text)
        return found[0] if masked == text else json.dumps(masked, ensure_ascii=False)

    def request_headers(self, headers: Mapping[str, Any]) -> dict[str, Any]:
        """Only headers that identify nobody keep their values."""
        return {
            name: self._header(value) if name.lower() in _KEPT_IN_REQUESTS else HIDDEN
            for name, value in headers.items()
        }

    def answer_headers(self, headers: Mapping[str, Any]) -> dict[str, Any]:
        """Headers about credentials and people lose their values; paging and limits stay."""
        return {
            name: [HIDDEN] if _HIDDEN_IN_ANSWERS.search(name) else self._header(value)
            for name, value in headers.items()
        }

    def _header(self, value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [self._header(each) for each in value]
        return self.text(value.decode("latin-1") if isinstance(value, bytes) else str(value))

    def _all_forms(self) -> list[tuple[str, str]]:
        if self._forms is None:
            self._forms = sorted(self._pairs(), key=lambda pair: -len(pair[0]))
        return self._forms

    def _pairs(self) -> Iterator[tuple[str, str]]:
        for secret, placeholder in self._placeholders.items():
            yield from ((form, placeholder) for form in forms_of([secret]))
            yield from ((form, placeholder) for form in forms_of([placeholder]) if form != placeholder)


def _hidden(found: re.Match[str]) -> str:
    """The replacement for a shape of a secret; a placeholder stays."""
    value = found[0][len(found[1]) :]
    return found[0] if _PLACEHOLDER.search(value) else f"{found[1]}{HIDDEN}"


def secrets_of(loaded: "LoadedConfig", variables: Mapping[str, str]) -> Iterator[str]:
    """The secrets of the source, in the order of the configuration; then values of variables that may be secrets."""
    yield from iter_secrets(loaded.config.source)
    yield from map(str.__str__, named_secrets(loaded.config.source.model_dump()))
    yield from (value for _, value in sorted(variables.items()) if value in loaded.secrets and not _is_address(value))


def _is_address(value: str) -> bool:
    """Whether a text is the URL of an API, which a recording shows."""
    parts = urlsplit(value)
    return parts.scheme in ("http", "https") and "@" not in parts.netloc and not parts.query


def without_short_secrets(variables: Mapping[str, str], config: Any) -> dict[str, str]:
    """The variables of a recording; a value that is a secret too short to be masked in texts is hidden."""
    short = {each for each in iter_secrets(config) if not is_maskable(each)}
    return {name: HIDDEN if value in short else value for name, value in variables.items()}
