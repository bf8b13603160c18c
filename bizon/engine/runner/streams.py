"""Several streams of one file side by side, each in a run of its own.

A thread takes the next stream from the list, runs it with the runner of a file with this stream alone, and takes the
next one. So at most ``max_parallel_streams`` run at the same time, in the order of the file, and one that fails or is
slow costs the others nothing but its place.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from threading import Event, RLock, Thread
from time import monotonic
from typing import TYPE_CHECKING

from bizon.common.safe_log import STREAM, logger
from bizon.common.waiting import ends_with
from bizon.engine.pipeline.models import Progress, ProgressSnapshot
from bizon.engine.runner.assembly import SharedState
from bizon.engine.runner.shares import in_share
from bizon.engine.runner.streams_status import StreamEnd, StreamsStatus

if TYPE_CHECKING:
    from bizon.config.validation import LoadedConfig
    from bizon.engine.runner.runner import AbstractRunner
    from bizon.engine.runner.windows import Scope

_SLICE = 0.5  # seconds; the calling thread looks up this often, so that it handles signals


class StreamsRunner:
    """Runs the streams of a pipeline once. ``stop`` may be called from any thread and from a signal handler.

    ``make``: the runner of one stream. ``offered``: the names of the streams behind the connection of the source; asked
    once, when ``streams: "*"`` leaves them open. ``chosen``: run these alone, in the order of the file. Raises
    ConfigError for one that the pipeline does not have.
    """

    def __init__(
        self,
        loaded: "LoadedConfig",
        make: "Callable[[LoadedConfig], AbstractRunner]",
        offered: "Callable[[LoadedConfig], list[str]]",
        chosen: Sequence[str] = (),
    ) -> None:
        self.bizon_config = loaded.config
        self.secrets = loaded.secrets
        self.scope: Scope | None = None
        """The part of each stream to fetch, by default what is new; set before ``run``."""
        self.join_id = ""
        """See ``AbstractRunner``; set before ``run``."""
        for name in chosen:
            loaded.of_stream(name)
        self._loaded, self._make, self._offered, self._chosen = loaded, make, offered, chosen
        self._state = SharedState(loaded.config)
        self._stopping = Event()
        self._lock = RLock()  # a signal handler may stop the run while its thread asks for the progress
        self._running: dict[str, AbstractRunner] = {}
        self._ended: dict[str, StreamEnd] = {}
        self._last: dict[str, ProgressSnapshot] = {}
        self.streams: tuple[str, ...] = ()
        """The streams of this run, known once it has begun."""

    def run(self, *, raise_on_failure: bool = False) -> StreamsStatus:
        """Move every stream, or the rest of it. Returns how each ended; raises only when the source does not say which
        streams it has. With ``raise_on_failure`` it raises RunFailedError unless all have succeeded.

        An exception in the calling thread, such as a time limit, stops all streams, waits for the pages in flight, and
        continues."""
        self.streams = names = self._names()
        waiting = deque(names)
        count = min(len(names), self.bizon_config.engine.runner.config.max_parallel_streams)
        workers = [
            Thread(target=self._run_next, args=(waiting, count), name=f"bizon-stream-{number}", daemon=True)
            for number in range(count)
        ]
        with self._state:
            try:
                for worker in workers:
                    worker.start()
                _join(workers)
            except BaseException:
                self.stop()
                _join([worker for worker in workers if worker.ident is not None])
                raise
        status = StreamsStatus(tuple(self._ended.get(name, StreamEnd(name)) for name in names))
        return status.raise_on_failure() if raise_on_failure else status

    def stop(self) -> None:
        """Ask every stream to end after its page in flight. None begins any more."""
        self._stopping.set()
        with self._lock:
            running = list(self._running.values())
        for runner in running:
            runner.stop()

    def progress(self) -> ProgressSnapshot:
        """The progress of all streams together. May be called from any thread."""
        every = [snapshot for snapshot, _ in self.progress_of_streams().values()]
        totals = [snapshot.total_records for snapshot in every]
        counts = [sum(getattr(snapshot, field) for snapshot in every) for field in _COUNTS]
        return ProgressSnapshot(
            **dict(zip(_COUNTS, counts, strict=True)),
            total_records=None if None in totals or len(every) < len(self.streams) else sum(filter(None, totals)),
        )

    def progress_of_streams(self) -> dict[str, tuple[ProgressSnapshot, StreamEnd | None]]:
        """The progress of each stream that has begun, in this order, and how it ended; None while it runs."""
        with self._lock:
            now = {name: runner.progress() for name, runner in self._running.items()}
            return {name: (now.get(name, last), self._ended.get(name)) for name, last in self._last.items()}

    def _names(self) -> tuple[str, ...]:
        names = self.bizon_config.stream_names
        if names is None and not self._chosen:
            with ends_with(self._stopping):
                names = tuple(self._offered(self._loaded))
        return tuple(name for name in names or self._chosen if not self._chosen or name in self._chosen)

    def _run_next(self, waiting: deque[str], count: int) -> None:
        """Run streams until none is left. ``count``: how many run at the same time."""
        while waiting and not self._stopping.is_set():
            try:
                name = waiting.popleft()
            except IndexError:  # another thread has taken the last one
                return
            began = monotonic()
            with logger.contextualize(**{STREAM: name}):
                end = self._run_one(name, count)
            with self._lock:
                self._ended[name] = end._replace(seconds=monotonic() - began)
                self._last.setdefault(name, Progress().snapshot())

    def _run_one(self, name: str, count: int) -> StreamEnd:
        try:
            loaded = self._loaded.of_stream(name)
            with self._begun(name, replace(loaded, config=in_share(loaded.config, count))) as runner:
                return StreamEnd(name) if runner is None else StreamEnd(name, runner.run())
        except BaseException as error:  # noqa: BLE001 - the other streams go on; this error is part of the status
            return StreamEnd(name, error=error)

    @contextmanager
    def _begun(self, name: str, loaded: "LoadedConfig") -> "Iterator[AbstractRunner | None]":
        """Within: the runner of one stream, which a stop reaches. None when the run has been stopped."""
        with self._lock:
            runner = None if self._stopping.is_set() else self._make(loaded)
            if runner is not None:
                self._running[name], self._last[name] = runner, runner.progress()
        try:
            if runner is not None:
                runner.scope, runner.join_id = self.scope or runner.scope, self.join_id
                runner.open_state = self._state.backend
            yield runner
        finally:
            if runner is not None:
                with self._lock:
                    self._last[name] = self._running.pop(name).progress()


_COUNTS = (
    "pages",
    "records_fetched",
    "bytes_fetched",
    "records_written",
    "records_rejected",
    "pages_before",
    "records_before",
    "values_rescued",
)


def _join(workers: Sequence[Thread]) -> None:
    for worker in workers:
        while worker.is_alive():
            worker.join(_SLICE)
