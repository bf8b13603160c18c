"""The forms of a secret in a text: as it is, and in the encodings that requests, errors and logs use."""

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from contextlib import suppress
from urllib.parse import quote, quote_plus, unquote

from bizon.common.secret import is_maskable

_LINE = 16  # characters; from this length, a line of a longer secret (a PEM key) is masked on its own
_CREDENTIAL = 8  # characters; a shorter part of a secret may be an ordinary word
_LOGIN = re.compile(r"^\s*[A-Za-z][\w+.-]*://[^:/@\s]*:([^@]+)@")
_PARAMETER = re.compile(
    r"(?i)(?:^|[?&;])[\w.-]*?(?:sig|signature|passw(?:or)?d|pwd|secret|token|(?<!ssl)key)=([^&;#]+)"
)
_FIELD = re.compile(r'"[\w-]*(?:key|secret|token|password)"\s*:\s*("(?:[^"\\\n]|\\.)+")')
_SCHEME = re.compile(r"\s*[A-Za-z][\w-]*[ \t]+(\S+)\s*")
_PAIR = re.compile(r"[\w.-]+=([^;\s]+)")
_PAIRS = re.compile(rf"\s*{_PAIR.pattern}(?:;\s*{_PAIR.pattern})*;?\s*")
_ESCAPE = re.compile(r"%[0-9A-F]{2}")
_UNICODE_ESCAPE = re.compile(r"\\u[0-9a-f]{4}")
_IN_HTML = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_IN_ATTRIBUTES = str.maketrans({'"': "&quot;", "'": "&#x27;"})
_SAFE = {  # characters that are not percent-encoded
    **{"path": "/", "url": "", "script": "!'()*~", "Java": "*"},
    **{"target": "!$&'()*+,;=:@/", "query": "!$&'()*+,;=:@/?"},  # by urllib3, what RFC 3986 allows
}


def forms_of(secrets: Iterable[str]) -> tuple[str, ...]:
    """Every form of these secrets and of the credentials in them, the longest first: a secret that contains another is
    masked as a whole."""
    plain = [str.__str__(secret) for secret in secrets]
    texts = {*plain, *(each for secret in plain for each in credentials_in(secret))}
    forms = {form for text in texts for form in _forms(text) if is_maskable(form)}
    return tuple(sorted(forms, key=len, reverse=True))


def credentials_in(secret: str) -> list[str]:
    """The parts of a secret that are secrets on their own: what follows the scheme in ``Bearer abcdefgh`` (RFC 9110);
    the values in ``session=abcdefgh; theme=dark``; the password and the parameters of a URL, such as a signature; the
    private key in the JSON of a service account."""
    scheme = _SCHEME.fullmatch(secret)
    header = [scheme[1]] if scheme else _PAIR.findall(secret) if _PAIRS.fullmatch(secret) else []
    encoded = [*_LOGIN.findall(secret), *_PARAMETER.findall(secret)]
    in_header = [each for each in header if len(each) >= _CREDENTIAL]
    return [*in_header, *encoded, *map(unquote, encoded), *_fields_of(secret)]


def _fields_of(text: str) -> list[str]:
    found = _FIELD.findall(text) if text.lstrip().startswith("{") else []
    with suppress(ValueError):
        return [json.loads(each) for each in found]
    return []


def encodings(text: str) -> dict[str, str]:
    """The text as programs write it, by the name of the encoding. A checkpoint may hold such a name."""
    return _in_texts(text) | _in_binary(text.encode("utf-8", "surrogatepass"))


def _forms(secret: str) -> Iterator[str]:
    if not is_maskable(secret):
        return
    bare = secret.strip()
    for text in {secret, bare, *(line.strip() for line in bare.splitlines() if len(line) >= _LINE)}:
        yield from encodings(text).values()


def _in_texts(text: str) -> dict[str, str]:
    in_json = _in_json(text)
    found = {"plain": text} | _in_urls(text) | in_json | {"Python": str.__repr__(text)[1:-1]}
    for name, each in tuple(found.items()):  # a page of HTML also shows what was asked for
        found[f"{name} in HTML"] = each.translate(_IN_HTML)
        found[f"{name} in an attribute"] = each.translate(_IN_HTML | _IN_ATTRIBUTES)
    for name in ("JSON", "ASCII JSON"):  # a parameter may be JSON
        found |= {f"{name} as {encoding}": each for encoding, each in _in_urls(in_json[name]).items()}
    return found


def _in_urls(text: str) -> dict[str, str]:
    found = {name: quote(text, safe=safe, errors="replace") for name, safe in _SAFE.items()}
    found["form"] = quote_plus(text, errors="replace")
    found |= {f"lower {name}": _lowered(each) for name, each in found.items()}
    again = {f"{name} twice": each.replace("%", "%25") for name, each in found.items()}  # by a server
    return found | again | {f"{name} quoted": quote(found[name]) for name in ("target", "query")}


def _lowered(text: str) -> str:
    return _ESCAPE.sub(lambda escape: escape.group().lower(), text)


def _in_json(text: str) -> dict[str, str]:
    ascii_only = json.dumps(text)[1:-1]
    found = {"JSON": json.dumps(text, ensure_ascii=False)[1:-1], "ASCII JSON": ascii_only}
    for name, each in tuple(found.items()):
        found[f"{name} of PHP"] = each.replace("/", r"\/")
        for program, signs in (("Go", "<>&"), ("Gson", "<>&='")):
            units = (rf"\u{ord(sign):04x}" if sign in signs else sign for sign in each)
            found[f"{name} of {program}"] = "".join(units)
    found["upper JSON"] = _UNICODE_ESCAPE.sub(lambda escape: r"\u" + escape.group()[2:].upper(), ascii_only)
    found |= {f"{name} twice": json.dumps(each, ensure_ascii=False)[1:-1] for name, each in found.items()}
    return found


def _in_binary(data: bytes) -> dict[str, str]:
    found = {"hex": data.hex(), "upper hex": data.hex().upper()}
    for before in range(3):  # bytes before it, modulo the three that base64 encodes together
        first, end = -(-before * 8 // 6), (before + len(data)) * 8 // 6  # the characters that encode no other bytes
        for name, altchars in (("base64", None), ("URL base64", b"-_")):
            signs = b64encode(bytes(before) + data, altchars).decode()[first:end]
            found[f"{name} after {before}"] = signs
            quoted = quote(signs, safe="")
            found[f"{name} after {before}, quoted"] = quoted
            found[f"{name} after {before}, quoted twice"] = quote(quoted, safe="")
    return found
