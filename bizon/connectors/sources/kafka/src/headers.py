"""The headers of a message as JSON text."""

from base64 import b64encode

import orjson

from bizon.connectors.sources.kafka.src.message_json import is_text


def headers_text(headers: object) -> bytes:
    """Headers as a JSON object of strings. A value that is not UTF-8 becomes ``{"base64": ...}``, the values of a
    repeated name a list."""
    found: dict[str, list[object]] = {}
    for name, value in headers if isinstance(headers, list) else ():
        found.setdefault(name, []).append(_header(value) if isinstance(value, bytes) else value)
    return orjson.dumps({name: values[0] if len(values) == 1 else values for name, values in found.items()})


def _header(value: bytes) -> str | dict[str, str]:
    return value.decode() if is_text(value) else {"base64": b64encode(value).decode()}
