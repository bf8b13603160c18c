"""The two ends of a run, built, checked and closed: the source, and the consumer with its destination."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from bizon.common.errors.errors import DestinationConnectionError, SourceConnectionError, StoppedError
from bizon.common.waiting import stop_sign, within
from bizon.engine.pipeline.consumer import Consumer, Outcome
from bizon.engine.pipeline.models import PipelineReturnStatus, WorkerResult
from bizon.engine.runner.assembly import (
    build_consumer,
    build_dead_letters,
    build_destination,
    build_loader,
    build_source,
)
from bizon.source.callback import AbstractSourceCallback, NoOpSourceCallback
from bizon.source.discover import resolve_source_class
from bizon.source.source import AbstractSource

if TYPE_CHECKING:
    from bizon.common.models import BizonConfig
    from bizon.destination.dead_letters import DeadLetters
    from bizon.destination.destination import AbstractDestination
    from bizon.engine.pipeline.loader import Loader
    from bizon.engine.runner.models import Links, RunContext
    from bizon.monitoring.monitor import AbstractMonitor

_CHECK_RETRIES = 10.0  # seconds


@contextmanager
def opened_source(config: "BizonConfig") -> Iterator[AbstractSource]:
    """Within: the source of the pipeline, whose connection was checked. Raises SourceConnectionError."""
    source = build_source(config)
    try:
        _check_source(source)
        yield source
    finally:
        source.close()


@contextmanager
def source_callback(context: "RunContext", source: AbstractSource | None = None) -> Iterator[AbstractSourceCallback]:
    """Within: the callback of the source, for the consuming side. Builds a source only when it has a callback of its
    own and none is given."""
    overridden = resolve_source_class(context.config.source).get_source_callback_instance
    if overridden is AbstractSource.get_source_callback_instance:
        yield NoOpSourceCallback(context.config.source)
    elif source is not None:
        yield source.get_source_callback_instance()
    else:
        own = build_source(context.config)
        try:
            yield own.get_source_callback_instance()
        finally:
            own.close()


class OpenedConsumer(NamedTuple):
    """A consumer whose destination is checked and prepared."""

    consumer: Consumer
    loader: "Loader"

    def result(self, status: PipelineReturnStatus, *, capped: bool = False) -> WorkerResult:
        """How the worker ended, with the places of the records and the dead letters. Called after the last write."""
        return WorkerResult(
            status,
            published=self.consumer.outcome is Outcome.PUBLISHED,
            capped=capped,
            where=self.loader.destination.describe(),
            dead_letters=self.loader.dead_letters.describe(),
        )


@contextmanager
def opened_consumer(
    context: "RunContext", links: "Links", callback: AbstractSourceCallback, monitor: "AbstractMonitor"
) -> Iterator[OpenedConsumer]:
    """Within: the consumer of the run, ready to write. Raises DestinationConnectionError, WatermarkError, and any error
    of ``prepare``."""
    destination = build_destination(context, links.backend, callback, monitor)
    dead_letters = build_dead_letters(context, destination, callback, monitor)
    try:
        _check_destination(destination, dead_letters)
        loader = build_loader(context, links, destination, dead_letters, callback, monitor)
        loader.prepare()
        yield OpenedConsumer(build_consumer(context, links, loader), loader)
    finally:
        _close_destination(destination, dead_letters)


def _check_source(source: AbstractSource) -> None:
    """Raise SourceConnectionError unless the source reports that it can be reached. It must answer soon: nothing is
    fetched yet, so it is not retried for minutes as in the middle of a run."""
    with within(_CHECK_RETRIES):
        reachable, reason = source.check_connection()
    if reachable is not True:
        if (sign := stop_sign()) is not None and sign.is_set():
            raise StoppedError
        name = f"{source.config.name}.{source.config.stream}"
        raise SourceConnectionError(f"check_connection of source '{name}' failed: {reason or 'no reason was given'}")


def _check_destination(destination: "AbstractDestination", dead_letters: "DeadLetters") -> None:
    """Raise DestinationConnectionError unless the destination and the dead letters' destination can be written."""
    for each in filter(None, (destination, dead_letters.destination)):
        if each.check_connection() is not True:
            name = each.sync_metadata.destination_name
            raise DestinationConnectionError(f"check_connection of destination '{name}' failed: {each.describe()}")


def _close_destination(destination: "AbstractDestination", dead_letters: "DeadLetters") -> None:
    """Close both, the second also when closing the first fails."""
    try:
        destination.close()
    finally:
        if dead_letters.destination is not None:
            dead_letters.destination.close()
