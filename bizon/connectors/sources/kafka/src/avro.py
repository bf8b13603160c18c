"""Decoding Avro values and keys by their schema.

A value consists of a magic byte 0, the id of its schema and the data. The id has 4 bytes (Confluent's form); when these
are 0 it has 8 (Apicurio's form).
"""

from base64 import b64encode
from decimal import Decimal
from io import BytesIO
from typing import Any

import fastavro
import orjson

from bizon.connectors.sources.kafka.src.registry import DecodeError, Registry, Schema

_SHORT, _LONG = 5, 9  # bytes before the data


def decode(value: bytes, registry: Registry) -> tuple[bytes, Schema]:
    """A value as JSON text, and its schema. Raises DecodeError, and the errors of the registry."""
    schema_id, data = _parts(value)
    schema = registry.schema(schema_id)
    stream = BytesIO(data)
    try:
        decoded = fastavro.schemaless_reader(stream, schema.parsed, None)
        text = orjson.dumps(decoded, default=_as_json, option=orjson.OPT_NON_STR_KEYS)
    except Exception as error:  # noqa: BLE001 - a decoder may fail in any way on arbitrary bytes
        raise DecodeError(f"the value does not fit schema {schema_id} ({type(error).__name__})") from None
    left = len(data) - stream.tell()
    if left:
        raise DecodeError(f"the value does not fit schema {schema_id}: {left} bytes are left over")
    return text, schema


def decoded_key(key: bytes, registry: Registry) -> bytes | None:
    """An Avro key as JSON text; None when the key is not Avro, but plain text or other bytes."""
    if key[:1] != b"\0":
        return None
    try:
        return decode(key, registry)[0]
    except DecodeError:
        return None


def _parts(value: bytes) -> tuple[int, bytes]:
    if len(value) < _SHORT or value[0] != 0:
        raise DecodeError("the value is not Avro from a registry: it does not start with 0 and the id of a schema")
    schema_id = int.from_bytes(value[1:_SHORT], "big")
    if schema_id:
        return schema_id, value[_SHORT:]
    if len(value) < _LONG:
        raise DecodeError("the value ends within the id of its schema")
    return int.from_bytes(value[1:_LONG], "big"), value[_LONG:]


def _as_json(value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, bytes):
        return b64encode(value).decode()
    raise TypeError(type(value).__name__)
