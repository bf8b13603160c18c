"""From messages to a page: one line of JSON per message, built from columns."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import polars as pl
from confluent_kafka import Message

from bizon.common.safe_log import logger
from bizon.connectors.sources.kafka.src.avro import decode, decoded_key
from bizon.connectors.sources.kafka.src.config import KafkaSourceConfig, MessageEncoding
from bizon.connectors.sources.kafka.src.headers import headers_text
from bizon.connectors.sources.kafka.src.message_json import (
    NULL,
    base64_text,
    is_text,
    json_text,
    json_texts,
    valid_json,
)
from bizon.connectors.sources.kafka.src.registry import DecodeError, Registry
from bizon.source.models import JsonLines

_T = TypeVar("_T")
_IN_BASE64 = b',"keys_encoding":"base64"'  # the field after the key
_NO_VALUE = "without a value"
_NO_TIMESTAMP = 0  # timestamp type: the message has none
_LAST_MOMENT = 253_402_300_799_999  # milliseconds; the end of the year 9999


class Decoded(NamedTuple):
    """Values as JSON text. ``faults``: the reasons why values could not be decoded, by position; their text is
    base64."""

    texts: list[bytes]
    schemas: list[bytes] | None = None
    faults: dict[int, str] = {}  # noqa: RUF012 - never changed


class PageBuilder:
    """Builds pages. ``registry``: needed for message_encoding avro."""

    def __init__(self, config: KafkaSourceConfig, registry: Registry | None) -> None:
        self._config = config
        self._registry = registry
        self._is_binary = config.message_encoding is MessageEncoding.BYTES
        self._routes = {topic.name: topic.destination_id for topic in config.topics}
        self._one_topic = config.topics[0].name if len(config.topics) == 1 else None

    def page(self, messages: list[Message]) -> JsonLines | None:
        """The page of these messages, None when all are skipped. Raises SourceFetchError."""
        skipped: Counter[str] = Counter()
        if self._config.skip_message_empty_value:
            messages = _kept(messages, [message.value() is not None for message in messages], _NO_VALUE, skipped)
        keys = self._keys(messages)
        if self._config.skip_message_invalid_keys:
            valid = [key is not None for key in keys]
            messages = _kept(messages, valid, "with a key that is not valid JSON", skipped)
            keys = [key for key in keys if key is not None]
        decoded = self._decoded([message.value() for message in messages])
        if decoded.faults and self._config.skip_message_on_decode_error:
            good = [row not in decoded.faults for row in range(len(messages))]
            messages = _kept(messages, good, "with a value that cannot be decoded", skipped)
            keys = _where(keys, good)
            schemas = decoded.schemas and _where(decoded.schemas, good)
            decoded = Decoded(_where(decoded.texts, good), schemas)
        for reason, count in skipped.items():
            log = logger.debug if reason == _NO_VALUE else logger.warning
            log(f"kafka: {count} messages {reason} skipped")
        return self._lines(messages, keys, decoded) if messages else None

    def _keys(self, messages: list[Message]) -> Sequence[bytes | None]:
        """Keys as JSON text; None for a message to skip."""
        raw = [message.key() for message in messages]
        if self._is_binary:
            return [base64_text(key) for key in raw]
        if self._registry is not None:
            return [self._avro_key(key, self._registry) for key in raw]
        if self._config.skip_message_invalid_keys:
            return [NULL if key is None else valid_json(key) for key in raw]
        return json_texts(raw, _key_text)

    def _avro_key(self, key: bytes | None, registry: Registry) -> bytes | None:
        decoded = decoded_key(key, registry) if key is not None else NULL
        if decoded is not None or key is None:
            return decoded
        return valid_json(key) if self._config.skip_message_invalid_keys else _key_text(key)

    def _decoded(self, values: Sequence[bytes | None]) -> Decoded:
        if self._is_binary:
            return Decoded([base64_text(value) for value in values])
        if self._registry is None:
            return Decoded(json_texts(values))
        self._registry.forget_failures()
        texts, schemas, faults = [], [], {}
        for row, value in enumerate(values):
            text, summary = NULL, NULL
            try:
                if value is not None:
                    text, schema = decode(value, self._registry)
                    summary = schema.summary
            except DecodeError as error:
                text, faults[row] = base64_text(value), str(error)
            texts.append(text)
            schemas.append(summary)
        return Decoded(texts, schemas, faults)

    def _lines(self, messages: list[Message], keys: Sequence[bytes | None], decoded: Decoded) -> JsonLines:
        topics = [message.topic() for message in messages] if self._one_topic is None else None
        moments = [ms if kind != _NO_TIMESTAMP else None for kind, ms in (message.timestamp() for message in messages)]
        offsets = pl.Series([message.offset() for message in messages], dtype=pl.Int64).cast(pl.String)
        partitions = pl.Series([message.partition() for message in messages], dtype=pl.Int32).cast(pl.String)
        timestamps = pl.Series(moments, dtype=pl.Int64)
        topic = pl.lit(self._one_topic) if topics is None else pl.Series(topics, dtype=pl.String)
        parts = [
            *('{"topic":"', topic, '","offset":', offsets, ',"partition":', partitions),
            *(',"timestamp":', timestamps.cast(pl.String).fill_null("null"), ',"keys":', _text(keys)),
            *(',"headers":', self._headers(messages), self._name_of_value(decoded), _text(decoded.texts)),
            *((',"schema":', _text(decoded.schemas)) if decoded.schemas is not None else ()),
            "}",
        ]
        start = [] if topics is None else [topic, "_"]
        frame = pl.select(
            text=pl.concat_str(*map(_expression, parts)),
            ids=pl.concat_str(*map(_expression, [*start, "partition_", partitions, "_offset_", offsets])),
            timestamps=pl.when(timestamps.is_between(0, _LAST_MOMENT)).then(timestamps).cast(pl.Datetime("ms", "UTC")),
        )
        faults = {row: _fault(messages[row], reason) for row, reason in decoded.faults.items()}
        return JsonLines(
            text=frame["text"],
            ids=frame["ids"],
            timestamps=frame["timestamps"],
            destination_ids=self._tables(topics, len(messages)),
            faults=faults,
        )

    def _headers(self, messages: list[Message]) -> pl.Series:
        found = [message.headers() for message in messages]
        if not any(found):
            return pl.Series(["{}"]).new_from_index(0, len(found))
        return pl.Series([headers_text(headers) for headers in found], dtype=pl.Binary).cast(pl.String)

    def _name_of_value(self, decoded: Decoded) -> str | pl.Series:
        if not decoded.faults:
            return ',"value":'
        names = (',"value_base64":' if row in decoded.faults else ',"value":' for row in range(len(decoded.texts)))
        return pl.Series(list(names), dtype=pl.String)

    def _tables(self, topics: list[str | None] | None, height: int) -> pl.Series | None:
        if not any(self._routes.values()):
            return None
        if topics is None:
            return pl.Series([*self._routes.values()], dtype=pl.String).new_from_index(0, height)
        return pl.Series([self._routes.get(topic or "") for topic in topics], dtype=pl.String)


def _key_text(key: bytes | None) -> bytes:
    """A key as JSON text. A key identifies its message, so bytes that are not UTF-8 are not repaired: they become
    base64, followed by a field that says so."""
    return json_text(key) if key is None or is_text(key) else base64_text(key) + _IN_BASE64


def _fault(message: Message, reason: str) -> str:
    return (
        f"message at offset {message.offset()} of topic '{message.topic()}', partition {message.partition()}: {reason}"
    )


def _kept(messages: list[Message], keep: list[bool], reason: str, skipped: Counter[str]) -> list[Message]:
    if all(keep):
        return messages
    skipped[reason] += keep.count(False)
    return _where(messages, keep)


def _where(values: Sequence[_T], keep: list[bool]) -> list[_T]:
    return [value for value, kept in zip(values, keep, strict=True) if kept]


def _text(texts: Sequence[bytes | None] | None) -> pl.Series:
    return pl.Series(texts, dtype=pl.Binary).cast(pl.String)


def _expression(part: Callable[..., object] | pl.Series | pl.Expr | str) -> pl.Expr:
    return part if isinstance(part, pl.Expr) else pl.lit(part)
