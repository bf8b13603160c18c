"""Loads that run while rows are written."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bizon.connectors.destinations.bigquery.src.loads import Loads
    from bizon.connectors.destinations.bigquery.src.parts import Part
    from bizon.connectors.destinations.bigquery.src.tables import Target


class BackgroundLoads:
    """Load jobs in the background of the run: ``per_job`` objects each, ``at_once`` at a time, recorded in order.
    ``target``: the table as it is when a job starts."""

    def __init__(self, loads: "Loads", target: Callable[[], "Target"], per_job: int, at_once: int) -> None:
        self._loads = loads
        self._target = target
        self._per_job = per_job
        self._at_once = at_once
        self._threads = ThreadPoolExecutor(at_once, "bigquery-load")
        self._gathered: list[Part] = []
        self._under_way: deque[tuple[int, Future[None]]] = deque()
        self._landed = -1

    @property
    def next_load(self) -> int | None:
        """The load that takes the next object; None when that object begins a new load."""
        return self._gathered[0].load if self._gathered else None

    def add(self, part: "Part") -> None:
        """Take an object. Waits while ``at_once`` loads are in flight. Raises the error of a load that failed."""
        self._gathered.append(part)
        if len(self._gathered) == self._per_job:
            self._start()
        while len(self._under_way) > self._at_once:
            self._take_first()

    def landed(self, *, wait: bool) -> int:
        """The last page up to which all loads are done. Raises the error of a load that failed."""
        if wait and self._gathered:
            self._start()
        while self._under_way and (wait or self._under_way[0][1].done()):
            self._take_first()
        return self._landed

    def close(self) -> None:
        """Leave loads in flight alone: the next start finds them."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _start(self) -> None:
        parts, self._gathered = self._gathered, []
        surroundings = copy_context()  # with the stop flag of the run
        future = self._threads.submit(surroundings.run, self._loads.load, parts, self._target(), parts[0].label)
        self._under_way.append((parts[-1].last, future))

    def _take_first(self) -> None:
        last, future = self._under_way[0]
        future.result()
        self._under_way.popleft()
        self._landed = last
