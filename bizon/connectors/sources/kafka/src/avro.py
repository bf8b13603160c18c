"""Avro values: which schema, and what it makes of the bytes.

A value is a magic byte 0, the id of its schema and the data. The id has 4 bytes (Confluent's form); when these are 0 it
has 8 (Apicurio's form).
"""

from base64 import b64encode
from collections import OrderedDict
from dataclasses import dataclass
from decimal import Decimal
from http import HTTPStatus
from io import BytesIO
from typing import Any

import fastavro
import orjson
import requests

from bizon.common.errors.errors import SourceFetchError
from bizon.connectors.sources.kafka.src.config import KafkaAuthConfig, SchemaRegistryType
from bizon.source.session import Session

_MOST_SCHEMAS = 1_000  # kept in memory
_SHORT, _LONG = 5, 9  # bytes before the data


class DecodeError(ValueError):
    """The bytes are no value of their schema. The message holds nothing of them."""


@dataclass(frozen=True, slots=True)
class Schema:
    """A schema of the registry, ready for use. ``shown``: what a record says of it, as JSON text."""

    parsed: Any
    shown: bytes


class Registry:
    """Schemas by id, fetched once each and kept while they are among the last thousand."""

    def __init__(self, config: KafkaAuthConfig, session: Session) -> None:
        self._config = config
        self._session = session
        self._known: OrderedDict[int, Schema | DecodeError] = OrderedDict()

    def schema(self, schema_id: int) -> Schema:
        """Raises DecodeError when there is none that can be used, SourceFetchError when nobody can be asked."""
        known = self._known.get(schema_id)
        if known is None:
            try:
                known = self._fetched(schema_id)
            except DecodeError as error:
                known = error
            self._known[schema_id] = known
            if len(self._known) > _MOST_SCHEMAS:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(schema_id)
        if isinstance(known, DecodeError):
            raise known
        return known

    def forget_failures(self) -> None:
        """Ask again for schemas that could not be used: they may be registered by now. Called once per page."""
        for schema_id in [each for each, known in self._known.items() if isinstance(known, DecodeError)]:
            del self._known[schema_id]

    def _fetched(self, schema_id: int) -> Schema:
        config = self._config
        confluent = config.schema_registry_type is SchemaRegistryType.CONFLUENT
        path = f"schemas/ids/{schema_id}" if confluent else f"apis/registry/v2/ids/globalIds/{schema_id}"
        try:
            body = self._session.get(f"{config.schema_registry_url}/{path}").content
        except requests.HTTPError as error:
            if error.response is not None and error.response.status_code == HTTPStatus.NOT_FOUND:
                raise DecodeError(f"the registry has no schema {schema_id}") from None
            raise SourceFetchError(f"kafka: schema registry: {error}") from None
        except requests.RequestException as error:
            raise SourceFetchError(f"kafka: schema registry: {error}") from None
        try:
            parsed = fastavro.parse_schema(_avro_schema(body) if confluent else orjson.loads(body))
        except Exception as error:  # noqa: BLE001 - whatever is wrong with a schema of somebody's
            reason = f"schema {schema_id} is no Avro schema, or refers to others ({type(error).__name__})"
            raise DecodeError(reason) from None
        name = parsed.get("name") if isinstance(parsed, dict) else None
        return Schema(parsed, orjson.dumps({"id": schema_id, "name": name}))


def _avro_schema(answer: bytes) -> Any:
    """The schema in an answer of Confluent's registry. Raises ValueError and others when there is none of Avro."""
    found = orjson.loads(answer)
    if found.get("schemaType", "AVRO") != "AVRO":
        raise ValueError("another type of schema")
    return orjson.loads(found["schema"])


def decode(value: bytes, registry: Registry) -> tuple[bytes, Schema]:
    """A value as JSON text, and its schema. Raises DecodeError."""
    schema_id, data = _parts(value)
    schema = registry.schema(schema_id)
    stream = BytesIO(data)
    try:
        decoded = fastavro.schemaless_reader(stream, schema.parsed, None)
        text = orjson.dumps(decoded, default=_as_json, option=orjson.OPT_NON_STR_KEYS)
    except Exception as error:  # noqa: BLE001 - whatever a decoder makes of foreign bytes
        raise DecodeError(f"the value does not fit schema {schema_id} ({type(error).__name__})") from None
    left = len(data) - stream.tell()
    if left:
        raise DecodeError(f"the value does not fit schema {schema_id}: {left} bytes are left over")
    return text, schema


def _parts(value: bytes) -> tuple[int, bytes]:
    if len(value) < _SHORT or value[0] != 0:
        raise DecodeError("the value is no Avro of a registry: it does not begin with 0 and the id of a schema")
    schema_id = int.from_bytes(value[1:_SHORT], "big")
    if schema_id:
        return schema_id, value[_SHORT:]
    if len(value) < _LONG:
        raise DecodeError("the value ends before the id of its schema does")
    return int.from_bytes(value[1:_LONG], "big"), value[_LONG:]


def _as_json(value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, bytes):
        return b64encode(value).decode()
    raise TypeError(type(value).__name__)
