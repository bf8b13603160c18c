"""The forms of a secret in a text: as it is, and in the encodings that requests, errors and logs use."""

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

from bizon.common.secret import is_maskable

_LINE = 16  # characters; from this length, a line of a longer secret (a PEM key) is masked on its own
_ESCAPE = re.compile(r"%[0-9A-F]{2}")
_UNICODE_ESCAPE = re.compile(r"\\u[0-9a-f]{4}")
_IN_HTML = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_IN_ATTRIBUTES = str.maketrans({'"': "&quot;", "'": "&#x27;"})
_SAFE = ("/", "", "!'()*~", "*")  # characters that Python, URLs, JavaScript and Java do not percent-encode


def forms_of(secrets: Iterable[str]) -> tuple[str, ...]:
    """Every form of these secrets, the longest first: a secret that contains another is masked as a whole."""
    forms = {form for secret in secrets for form in _forms(str.__str__(secret)) if is_maskable(form)}
    return tuple(sorted(forms, key=len, reverse=True))


def _forms(secret: str) -> Iterator[str]:
    if not is_maskable(secret):
        return
    bare = secret.strip()
    for text in {secret, bare, *(line.strip() for line in bare.splitlines() if len(line) >= _LINE)}:
        yield text
        yield from _in_urls(text)
        yield from _in_json(text)
        yield str.__repr__(text)[1:-1]
        yield text.translate(_IN_HTML)
        yield text.translate(_IN_HTML | _IN_ATTRIBUTES)
    for text in {secret, bare}:
        yield from _in_binary(text.encode("utf-8", "surrogatepass"))


def _in_urls(text: str) -> Iterator[str]:
    encoded = [quote(text, safe=safe, errors="replace") for safe in _SAFE]
    for each in (*encoded, quote_plus(text, errors="replace")):
        yield each
        yield each.replace("%", "%25")  # a path that a server quotes again
        yield _ESCAPE.sub(lambda escape: escape.group().lower(), each)


def _in_json(text: str) -> Iterator[str]:
    plain, ascii_only = json.dumps(text, ensure_ascii=False)[1:-1], json.dumps(text)[1:-1]
    for each in (plain, ascii_only):
        yield each
        yield each.replace("/", r"\/")  # PHP
        for signs in ("<>&", "<>&='"):  # Go, Gson
            yield "".join(rf"\u{ord(sign):04x}" if sign in signs else sign for sign in each)
    yield _UNICODE_ESCAPE.sub(lambda escape: r"\u" + escape.group()[2:].upper(), ascii_only)


def _in_binary(data: bytes) -> Iterator[str]:
    yield data.hex()
    yield data.hex().upper()
    for before in range(3):  # bytes before it, modulo the three that base64 encodes together
        first, end = -(-before * 8 // 6), (before + len(data)) * 8 // 6  # the characters that encode no other bytes
        for altchars in (None, b"-_"):
            signs = b64encode(bytes(before) + data, altchars).decode()[first:end]
            yield signs
            yield quote(signs, safe="")
