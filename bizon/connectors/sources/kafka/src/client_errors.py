"""The meaning of the errors of librdkafka."""

from collections.abc import Callable

from confluent_kafka import KafkaError, KafkaException, Message

from bizon.common.errors.errors import SourceFetchError

_TRANSIENT = (  # librdkafka retries by itself
    "_ALL_BROKERS_DOWN _ASSIGNMENT_LOST _MAX_POLL_EXCEEDED _RESOLVE _TIMED_OUT _TRANSPORT _WAIT_COORD "
    "COORDINATOR_LOAD_IN_PROGRESS COORDINATOR_NOT_AVAILABLE NOT_COORDINATOR REBALANCE_IN_PROGRESS REQUEST_TIMED_OUT"
)
_EVICTED = (
    "_FATAL _FENCED FENCED_INSTANCE_ID FENCED_MEMBER_EPOCH ILLEGAL_GENERATION STALE_MEMBER_EPOCH UNKNOWN_MEMBER_ID"
)
_OUT_OF_RANGE = "_AUTO_OFFSET_RESET _LOG_TRUNCATION _NO_OFFSET"


def _codes(names: str) -> frozenset[int]:
    return frozenset(getattr(KafkaError, name) for name in names.split())


_TRANSIENT_CODES, _EVICTED_CODES, _OUT_OF_RANGE_CODES = _codes(_TRANSIENT), _codes(_EVICTED), _codes(_OUT_OF_RANGE)
_END_OF_PARTITION = -191  # _PARTITION_EOF


def split_errors(messages: list[Message], on_error: Callable[[Message, KafkaError], None]) -> list[Message]:
    """The messages without the events among them, which go to ``on_error``."""
    errors = [message.error() for message in messages]
    if not any(errors):
        return messages
    for message, error in zip(messages, errors, strict=True):
        if error is not None:
            on_error(message, error)
    return [message for message, error in zip(messages, errors, strict=True) if error is None]


def error_of(error: KafkaException) -> KafkaError:
    """The error of librdkafka inside an exception."""
    inner: KafkaError = error.args[0]
    return inner


def text_of(error: KafkaException) -> str:
    """The same error in words."""
    return error_of(error).str()


def is_eviction(error: KafkaError) -> bool:
    """The group has removed this consumer, which has to join again."""
    return error.fatal() or error.code() in _EVICTED_CODES


def is_end(error: KafkaError) -> bool:
    """Not an error: the consumer has reached the end of a partition."""
    return error.code() == _END_OF_PARTITION


def is_out_of_range(error: KafkaError) -> bool:
    """The broker does not have the offset to read next."""
    return error.code() in _OUT_OF_RANGE_CODES


def is_transient(error: KafkaError) -> bool:
    """The error may pass without any action."""
    return error.retriable() or error.code() in _TRANSIENT_CODES


def fetch_error(what: str, error: KafkaError) -> SourceFetchError:
    """An error that ends the run."""
    return SourceFetchError(f"kafka: {what}: {error.str()}")
