"""The source of a run and its callback: built, checked and closed."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from bizon.common.errors.errors import SourceConnectionError, StoppedError
from bizon.common.waiting import stop_sign, within
from bizon.source.callback import AbstractSourceCallback, NoOpSourceCallback
from bizon.source.discover import resolve_source_class
from bizon.source.source import AbstractSource

if TYPE_CHECKING:
    from bizon.common.models import BizonConfig
    from bizon.source.member import Member

CHECK_RETRIES = 10.0  # seconds; nothing is fetched yet, so a check answers soon


def build_source(config: "BizonConfig") -> AbstractSource:
    """The source of the pipeline, not contacted yet; a source object that a program gave is returned as it is."""
    given = config.source.given_source
    if isinstance(given, AbstractSource):
        return given
    name = config.stream_key.broker_name
    return resolve_source_class(config.source)(config.source.of_pipeline(name))


@contextmanager
def opened_source(
    config: "BizonConfig", partition: dict[str, Any] | None = None, member: "Member | None" = None
) -> Iterator[AbstractSource]:
    """Within: the source of the pipeline, or of a partition, whose connection was checked. ``member``: when it is one
    of several that read a stream. Raises SourceConnectionError."""
    source = build_source(config)
    source.member = member
    if partition is not None:
        source.partition = partition
    try:
        _check(source)
        yield source
    finally:
        source.close()


@contextmanager
def source_callback(config: "BizonConfig", source: AbstractSource | None = None) -> Iterator[AbstractSourceCallback]:
    """Within: the callback of the source, for the consuming side. Builds a source only when it has a callback of its
    own and none is given."""
    overridden = resolve_source_class(config.source).get_source_callback_instance
    if overridden is AbstractSource.get_source_callback_instance:
        yield NoOpSourceCallback(config.source)
    elif source is not None:
        yield source.get_source_callback_instance()
    else:
        own = build_source(config)
        try:
            yield own.get_source_callback_instance()
        finally:
            own.close()


def _check(source: AbstractSource) -> None:
    """Raise SourceConnectionError unless the source reports that it can be reached. It is not retried for minutes as in
    the middle of a run."""
    with within(CHECK_RETRIES):
        reachable, reason = source.check_connection()
    if reachable is not True:
        if (sign := stop_sign()) is not None and sign.is_set():
            raise StoppedError
        name = f"{source.config.name}.{source.config.stream}"
        raise SourceConnectionError(f"check_connection of source '{name}' failed: {reason or 'no reason was given'}")
