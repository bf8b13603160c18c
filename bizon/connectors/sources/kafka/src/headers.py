"""The headers of a message as JSON text."""

from base64 import b64encode

import orjson

from bizon.connectors.sources.kafka.src.message_json import is_text


def headers_text(headers: object) -> bytes:
    """Headers as a JSON object of strings. A value that is not UTF-8 becomes ``{"base64": ...}``, the values of a
    repeated name a list."""
    found: dict[str, object] = {}
    lists: set[str] = set()
    for name, value in headers if isinstance(headers, list) else ():
        text = _header(value) if isinstance(value, bytes) else value
        if name not in found:
            found[name] = text
            continue
        if name not in lists:
            lists.add(name)
            found[name] = [found[name]]
        found[name].append(text)  # type: ignore[attr-defined]
    return orjson.dumps(found)


def _header(value: bytes) -> str | dict[str, str]:
    return value.decode() if is_text(value) else {"base64": b64encode(value).decode()}
