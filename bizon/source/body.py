"""Bodies of answers. JSON is decoded as JSON, whatever its label, and no character is ever replaced. A body that breaks
off is never accepted as whole."""

import gzip
import json
import re
import zlib
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE, BOM_UTF32_BE, BOM_UTF32_LE, lookup
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import requests

from bizon.common.errors.errors import SourceFetchError
from bizon.source.answers import EXCERPT, SafeText, shown

_MARKS = (
    (BOM_UTF8, "utf-8"),
    (BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark is a prefix of this one
    (BOM_UTF32_BE, "utf-32-be"),
    (BOM_UTF16_LE, "utf-16-le"),
    (BOM_UTF16_BE, "utf-16-be"),
)
_BY_ZERO_BYTES: dict[tuple[bool, ...], str] = {  # which of the first four bytes are zero; JSON begins in ASCII
    (True, True, True, False): "utf-32-be",
    (False, True, True, True): "utf-32-le",
    (True, False, True, False): "utf-16-be",
    (False, True, False, True): "utf-16-le",
}
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([\w.:+-]+)", re.IGNORECASE)
_JSON_TYPE = re.compile(
    r"\s*[\w.-]+/(?:[\w.-]+\+)?(?:x-)?(?:json|ndjson|jsonl|jsonlines|json-seq)\s*(?:;|$)", re.IGNORECASE
)


_EMPTY_BODIES = (gzip.compress(b"", mtime=0), zlib.compress(b""))
_GARBAGE_AFTER_THE_END = 2  # urllib3's state of a gzip decoder


class Response(requests.Response):
    """The answer of a session: as in requests, except for ``json``, for ``text`` labelled as JSON, and for compressed
    bodies that break off, which requests accepts as whole.

    requests decodes a body labelled ``text/...`` as Latin-1, and replaces invalid bytes with U+FFFD. Here a body is
    UTF-8, or UTF-16 or UTF-32 if its first bytes say so, with or without a byte order mark, or else in the charset of
    its label. Raises SourceFetchError, with path and offset, when none of them fits.
    """

    def json(self, **kwargs: Any) -> Any:
        """The decoded body; takes the arguments of ``json.loads``. Raises the JSONDecodeError of requests when the body
        is not valid JSON."""
        return self.decoded(partial(json.loads, **kwargs))

    def decoded(self, loads: Callable[[str], Any]) -> Any:
        """The body by another decoder, such as ``loads_kept``, which may raise JSONDecodeError."""
        text = self._decoded()
        try:
            return loads(text)
        except json.JSONDecodeError as error:
            reason = (
                f"{self._place()}: {self._labelled()}: the body is not valid JSON: {self._begins(text)}; {error.msg}"
            )
            refusal = requests.JSONDecodeError(reason, error.doc, error.pos)
            refusal.args = (SafeText(refusal.args[0]),)
            raise refusal from None

    def iter_content(self, chunk_size: int | None = 1, decode_unicode: bool = False) -> Iterator[Any]:
        """As in requests, but raises ChunkedEncodingError for a compressed body without an end."""
        return self._whole(super().iter_content(chunk_size, decode_unicode))

    def _whole(self, pieces: Iterator[Any]) -> Iterator[Any]:
        yield from pieces
        if breaks_off(self.raw):
            raise requests.exceptions.ChunkedEncodingError("the compressed body has no end", request=self.request)

    @property
    def text(self) -> str:
        """The body as text. Raises SourceFetchError when a body labelled as JSON cannot be decoded."""
        if _JSON_TYPE.match(self.headers.get("Content-Type", "")):
            return self._decoded()
        return super().text

    def _decoded(self) -> str:
        body = self.content or b""
        try:
            return decode_json(body, declared_charset(self))
        except UnicodeDecodeError as error:
            begins = self._begins(body.decode(errors="backslashreplace"))
            raise SourceFetchError(
                f"{self._place()}: {self._labelled()}: the body is not valid {error.encoding.upper()} at byte "
                f"{error.start} (0x{body[error.start]:02x}): {begins}; JSON is UTF-8 unless its Content-Type declares "
                "another charset. If the API is wrong, decode `response.content` in the source"
            ) from None

    def _place(self) -> str:
        return f"{self.request.method} {shown_url(self.url)}"

    def _labelled(self) -> str:
        return f"HTTP {self.status_code}, {self.headers.get('Content-Type') or 'no Content-Type'}"

    def _begins(self, text: str) -> str:
        return f"it begins with {shown(text, self.request, EXCERPT)!r}" if text.strip() else "it is empty"


def breaks_off(raw: Any) -> bool:
    """Whether a compressed body was read to its end without the end of its compression.

    urllib3 does not report this, so the function reads the state of its decoders. A body with an unknown decoder counts
    as whole, and so does an empty body, as after HEAD.
    """
    decoder = getattr(raw, "_decoder", None)
    return not all(map(_has_ended, getattr(decoder, "_decoders", (decoder,))))


def _has_ended(decoder: Any) -> bool:
    stream = getattr(decoder, "_obj", None)
    if getattr(decoder, "_state", None) == _GARBAGE_AFTER_THE_END:
        return True
    is_finished = getattr(stream, "is_finished", None)  # brotli
    if callable(is_finished):
        return bool(is_finished())
    return bool(getattr(stream, "eof", True)) or _is_untouched(stream)


def _is_untouched(stream: Any) -> bool:
    """Whether a decompressor has read nothing yet: then an empty compressed body takes it to its end."""
    for whole in _EMPTY_BODIES:
        probe = stream.copy()
        with suppress(zlib.error):
            probe.decompress(whole)
            if probe.eof:
                return True
    return False


def declared_charset(answer: requests.Response) -> str | None:
    """The charset in the Content-Type of an answer; None when it declares none."""
    found = _CHARSET.search(answer.headers.get("Content-Type", ""))
    return found[1] if found else None


def decode_json(body: bytes, charset: str | None = None) -> str:
    """The text of a JSON document, without a byte order mark. Raises UnicodeDecodeError with the offset in ``body``.

    The label decides only when the bytes are ambiguous: they are ASCII, which some charsets use for other characters,
    or they are not UTF-8.
    """
    for mark, encoding in _MARKS:
        if body.startswith(mark):
            return _decode(body, encoding, len(mark))
    wide = _BY_ZERO_BYTES.get(tuple(not byte for byte in body[:4]))
    if wide is not None:
        return _decode(body, wide)
    known = None if charset is None else _known(charset)
    if known is not None and body.isascii():
        return _decode(body, known)
    try:
        return _decode(body, "utf-8")
    except UnicodeDecodeError:
        if known in (None, "utf-8"):
            raise
    return _decode(body, known)


def shown_url(url: Any) -> str:
    """A URL without user, query and fragment."""
    text = url.decode("utf-8", "replace") if isinstance(url, bytes) else str(url)
    text = text.partition("?")[0]
    try:
        parts = urlsplit(text)
        host = parts.netloc.rpartition("@")[2]
        if parts.port is None and ":" in host.rpartition("]")[2]:
            return "<not a URL>"
    except ValueError:
        return "<not a URL>"
    return f"{parts.scheme}://{host}{parts.path}" if host else parts.path


def _decode(body: bytes, encoding: str, start: int = 0) -> str:
    try:
        return body[start:].decode(encoding) if start else body.decode(encoding)
    except UnicodeDecodeError as error:
        raise UnicodeDecodeError(encoding, body, error.start + start, error.end + start, error.reason) from None


def _known(charset: str) -> str | None:
    """Python's name of a charset; None for an unknown charset."""
    try:
        return lookup(charset).name
    except LookupError:
        return None
