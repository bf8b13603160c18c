"""The consumer's role: destination, loader and consumer, built, checked, run and closed."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, NamedTuple

from bizon.common.errors.errors import (
    ConfigError,
    DestinationConnectionError,
    QueueError,
    RunRefusedError,
    TransformError,
)
from bizon.common.waiting import rest, within
from bizon.destination.buffer import DestinationBuffer
from bizon.destination.dead_letters import DeadLetters
from bizon.destination.destination import AbstractDestination, DestinationFactory
from bizon.engine.pipeline.consumer import Consumer, Outcome
from bizon.engine.pipeline.failures import with_retries
from bizon.engine.pipeline.loader import Loader
from bizon.engine.pipeline.models import PipelineReturnStatus, Progress, WorkerResult
from bizon.engine.runner.sources import CHECK_RETRIES, source_callback
from bizon.transform.transform import Transform

if TYPE_CHECKING:
    from bizon.engine.backend.backend import AbstractBackend
    from bizon.engine.pipeline.run import Run
    from bizon.engine.runner.models import Links, RunContext
    from bizon.monitoring.monitor import AbstractMonitor
    from bizon.source.callback import AbstractSourceCallback


class OpenedConsumer(NamedTuple):
    """A consumer whose destination is checked and prepared."""

    consumer: Consumer
    loader: Loader

    def result(self, status: PipelineReturnStatus, *, capped: bool = False) -> WorkerResult:
        """How the worker ended, with the places of the records and the dead letters. Called after the last write."""
        return WorkerResult(
            status,
            published=self.consumer.outcome is Outcome.PUBLISHED,
            capped=capped,
            where=self.loader.destination.describe(),
            dead_letters=self.loader.dead_letters.describe(),
        )


def consume(context: "RunContext", links: "Links") -> WorkerResult:
    """Write until the stream ends or the run does. Opens the gate once the destination is ready."""
    links.queue.connect()
    monitor = context.new_monitor()
    with (
        source_callback(context.config) as callback,
        opened_consumer(context, links, callback, monitor) as opened,
    ):
        links.gate.set()
        _write(context.run, opened.consumer)
    return opened.result(PipelineReturnStatus.SUCCESS).tracked_by(monitor)


@contextmanager
def opened_consumer(
    context: "RunContext", links: "Links", callback: "AbstractSourceCallback", monitor: "AbstractMonitor"
) -> Iterator[OpenedConsumer]:
    """Within: the consumer of the run, ready to write. Raises DestinationConnectionError, RunRefusedError,
    WatermarkError, and any error of ``prepare``."""

    def ack(to_iteration: int) -> None:
        links.queue.ack(context.run.job_id, to_iteration)

    with _opened_loader(context, links.backend, callback, monitor, ack, links.progress) as loader:
        yield OpenedConsumer(_consumer(context, links, loader), loader)


def settle(context: "RunContext", backend: "AbstractBackend") -> None:
    """Let the destination of a run take back the rows that no checkpoint vouches for; nothing else is written. A
    destination that takes no members of a stream has none of their rows: the configuration named another one then.
    Raises DestinationError once retries are of no use, and OvertakenError in a superseded start."""

    def prepare() -> None:
        monitor = context.new_monitor()
        with source_callback(context.config) as callback:
            with closing(build_destination(context, backend, callback, monitor)) as destination:
                refuses = context.run.part is not None and destination.refuses_members() is not None
            if not refuses:
                with _opened_loader(context, backend, callback, monitor, lambda _: None, Progress()):
                    pass

    with_retries(prepare, rest)


@contextmanager
def _opened_loader(
    context: "RunContext",
    backend: "AbstractBackend",
    callback: "AbstractSourceCallback",
    monitor: "AbstractMonitor",
    ack: Callable[[int], None],
    progress: Progress,
) -> Iterator[Loader]:
    """Within: the loader of the run, whose destination is checked and prepared. Raises what ``opened_consumer``
    raises."""
    destination = build_destination(context, backend, callback, monitor)
    dead_letters = build_dead_letters(context, destination)
    try:
        _check(destination, dead_letters)
        loader = Loader(
            destination=destination,
            dead_letters=dead_letters,
            backend=backend,
            run=context.run,
            ack=ack,
            callback=callback,
            monitor=monitor,
            progress=progress,
        )
        loader.prepare()
        yield loader
    finally:
        _close(destination, dead_letters)


def build_destination(
    context: "RunContext",
    backend: "AbstractBackend",
    callback: "AbstractSourceCallback",
    monitor: "AbstractMonitor",
) -> AbstractDestination:
    """The destination of the pipeline, not contacted yet."""
    return DestinationFactory.get_destination(
        sync_metadata=context.sync_metadata,
        config=context.config.destination,
        backend=backend,
        source_callback=callback,
        monitor=monitor,
    )


def build_dead_letters(context: "RunContext", destination: AbstractDestination) -> DeadLetters:
    """How rows that cannot be delivered are handled; their file, if there is one, is a second destination."""
    has_some, member = bool(context.run.resume.dead_letters), None
    if destination.sync_metadata.in_place:
        member = context.run.part
    return DeadLetters.beside(destination, context.config, context.brief, has_some=has_some, member=member)


def _consumer(context: "RunContext", links: "Links", loader: Loader) -> Consumer:
    config, run, backend = context.config, context.run, links.backend

    def is_newest(job_id: str) -> bool:
        newest = backend.get_last_stream_job(run.key)
        return newest is not None and newest.id == job_id

    def has_started(epoch: int) -> bool:
        job = backend.get_stream_job_by_id(run.job_id)
        return job is not None and epoch <= job.producer_epoch

    return Consumer(
        queue=links.queue,
        transform=Transform(config.transforms, config.on_error),
        buffer=DestinationBuffer.of_pipeline(config),
        loader=loader,
        run=run,
        poll_interval=config.engine.queue.config.consumer.poll_interval,
        is_newer_job=is_newest,
        has_started=has_started,
        watch=links.watch,
        producers=context.producers,
    )


def _write(run: "Run", consumer: Consumer) -> None:
    publishes_parts = run.part is None and run.resume.parts > 0
    if publishes_parts or (run.is_joined and run.resume.exhausted):
        consumer.publish()  # no producer need send its end again
        return
    try:
        consumer.run()
    except (TransformError, QueueError):
        consumer.finish()  # the pages before the fault are good
        raise


def _check(destination: AbstractDestination, dead_letters: DeadLetters) -> None:
    """Raise DestinationConnectionError unless the destination and the dead letters' destination can be written, and
    RunRefusedError when one of them refuses what the configuration asks of it."""
    for each in filter(None, (destination, dead_letters.destination)):
        try:
            with within(CHECK_RETRIES):
                is_reached = each.check_connection()
        except ConfigError as error:
            raise RunRefusedError(str(error), key=error.key) from error
        if is_reached is not True:
            name = each.sync_metadata.destination_alias
            raise DestinationConnectionError(f"check_connection of destination '{name}' failed: {each.describe()}")


def _close(destination: AbstractDestination, dead_letters: DeadLetters) -> None:
    """Close both, the second also when closing the first fails."""
    try:
        destination.close()
    finally:
        if dead_letters.destination is not None:
            dead_letters.destination.close()
