"""The schema registry: schemas by id, and the meaning of its answers.

A 404 has two meanings. Either the registry does not know the schema: the message is at fault, and ``on_error`` decides.
Or the URL is wrong: the configuration is at fault, and no message may be rejected for it. The body of the answer tells
them apart. Once a registry has returned a schema in this run, its URL is right.
"""

from collections import OrderedDict
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import orjson
import requests

from bizon.common.errors.errors import SourceConnectionError, SourceFetchError
from bizon.connectors.sources.kafka.src.config import KafkaAuthConfig, SchemaRegistryType
from bizon.connectors.sources.kafka.src.unions import parsed_with_branches

if TYPE_CHECKING:
    from bizon.source.session import Session

_MOST_SCHEMAS = 1_000  # kept in memory
_UNKNOWN_SCHEMA = frozenset({40401, 40402, 40403})  # error_code: no subject, no version, no schema


class DecodeError(ValueError):
    """The bytes do not fit their schema. The message shows none of them."""


class Schema(NamedTuple):
    """A schema of the registry, ready for use. ``summary``: id and name for the record, as JSON text."""

    parsed: Any
    summary: bytes


class Registry:
    """Schemas by id. Each is fetched once, and kept while it is among the thousand used last."""

    def __init__(self, config: KafkaAuthConfig, session: "Session") -> None:
        self._config = config
        self._session = session
        self._known: OrderedDict[int, Schema | DecodeError] = OrderedDict()
        self._is_proven = False  # it has returned a schema, so its URL is right

    def schema(self, schema_id: int) -> Schema:
        """The schema with this id.

        Raises DecodeError when it does not exist or cannot be used, SourceFetchError when the registry does not answer,
        and SourceConnectionError when another kind of server answers.
        """
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
        """Fetch unusable schemas again when they are needed: they may be registered by now. Called once per page."""
        for schema_id in [each for each, known in self._known.items() if isinstance(known, DecodeError)]:
            del self._known[schema_id]

    def _fetched(self, schema_id: int) -> Schema:
        confluent = self._config.schema_registry_type is SchemaRegistryType.CONFLUENT
        path = f"schemas/ids/{schema_id}" if confluent else f"apis/registry/v2/ids/globalIds/{schema_id}"
        answer = self._answer(f"{self._config.schema_registry_url}/{path}", schema_id)
        given = _json(answer)
        if "html" in answer.headers.get("Content-Type", "") or (confluent and not _has_schema(given)):
            raise self._wrong_path(answer, "the answer does not come from a registry")
        self._is_proven = True
        try:
            parsed = parsed_with_branches(_avro_schema(given) if confluent else given)
        except Exception as error:  # noqa: BLE001 - a schema may be wrong in any way
            reason = f"schema {schema_id} is not an Avro schema, or refers to others ({type(error).__name__})"
            raise DecodeError(reason) from None
        name = parsed.get("name") if isinstance(parsed, dict) else None
        return Schema(parsed, orjson.dumps({"id": schema_id, "name": name}))

    def _answer(self, url: str, schema_id: int) -> requests.Response:
        try:
            return self._session.get(url)
        except requests.HTTPError as error:
            answer = error.response
            if answer is None or answer.status_code != HTTPStatus.NOT_FOUND:
                raise SourceFetchError(f"kafka: schema registry: {error}") from None
            if self._is_proven or _names_the_schema(_json(answer)):
                raise DecodeError(f"the registry has no schema {schema_id}") from None
            raise self._wrong_path(answer, "HTTP 404, and not because of an unknown schema") from None
        except requests.RequestException as error:
            raise SourceFetchError(f"kafka: schema registry: {error}") from None

    def _wrong_path(self, answer: requests.Response, reason: str) -> SourceConnectionError:
        kind = self._config.schema_registry_type
        return SourceConnectionError(
            f"kafka: no schema registry answers at the path {urlsplit(answer.url).path}: {reason}; check "
            f"authentication.schema_registry_url, and schema_registry_type, which is {kind}"
        )


def _json(answer: requests.Response) -> Any:
    """The body, None when it is not JSON."""
    try:
        return orjson.loads(answer.content)
    except ValueError:
        return None


def _names_the_schema(body: Any) -> bool:
    """Whether a 404 is about the schema, by Confluent's codes or the names of Apicurio's errors. Plain
    ``NotFoundException`` is about the path."""
    if not isinstance(body, dict):
        return False
    name = str(body.get("name") or str(body.get("detail", "")).partition(":")[0]).rpartition(".")[2]
    return body.get("error_code") in _UNKNOWN_SCHEMA or (name.endswith("NotFoundException") and name[0] != "N")


def _has_schema(body: Any) -> bool:
    return isinstance(body, dict) and isinstance(body.get("schema"), str)


def _avro_schema(answer: dict[str, Any]) -> Any:
    """The schema in an answer of Confluent's registry. Raises ValueError when it is not an Avro schema."""
    if answer.get("schemaType", "AVRO") != "AVRO":
        raise ValueError("another type of schema")
    return orjson.loads(answer["schema"])
