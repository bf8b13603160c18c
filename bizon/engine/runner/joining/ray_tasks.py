"""The workers of a run on a Ray cluster, as the driver sees them."""

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from bizon.common.safe_log import logger
from bizon.engine.pipeline.models import PipelineReturnStatus, WorkerResult
from bizon.engine.runner.joining.ray_board import Board
from bizon.engine.runner.joining.ray_task import Beat, Task, worked

if TYPE_CHECKING:
    from bizon.engine.runner.adapters.unpacking import Payload
    from bizon.engine.runner.config import RayConfig

_MOST_DEATHS = 3
"""How often a worker is replaced. The part at which one dies again and again would kill all others as well."""
_ANSWER = 10.0  # seconds


class RayTasks:
    """Submits workers, hears of them, and replaces those that have died. ``name``: of the pipeline, for Ray's lists;
    ``payload``: what they need of it."""

    def __init__(self, config: "RayConfig", name: str, payload: "Payload") -> None:
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        self._board = ray.remote(Board).options(num_cpus=0, scheduling_strategy=here).remote()
        self._submit = ray.remote(_worker).options(name=f"bizon: {name}", max_retries=0, **config.options)
        self._order = Task(0, version("bizon"), os.getcwd(), payload, None)
        self._running: dict[Any, _Worker] = {}
        self._is_stopping = False
        self._numbers = 0

    @property
    def is_empty(self) -> bool:
        return not self._running

    def start(self, most_pages: int | None, deaths: int = 0) -> None:
        """Submit a worker; Ray starts it when a node has room for it. ``deaths``: of those that it replaces. Ray
        replaces none: it does not know when bizon must stop."""
        task = self._order._replace(number=self._numbers, most_pages=most_pages)
        self._numbers += 1
        self._running[self._submit.remote(task, self._board)] = _Worker(task, deaths)

    def ended(self, seconds: float) -> list[WorkerResult]:
        """Wait for the end of a worker, at most so long. How those ended that will not be replaced."""
        done, _ = ray.wait(list(self._running), timeout=seconds)
        found = [self._result(ref, self._running.pop(ref)) for ref in done]
        return [result for result in found if result is not None]

    def progress(self) -> dict[int, list[int]] | None:
        """The counters of each worker that has begun, by its number; None when the board does not answer in time, as on
        a busy node that still starts it."""
        counters: dict[int, list[int]] | None = _answer(self._board.counters.remote())
        return counters

    def stop(self) -> None:
        """Ask the workers to end after their page; those that have not begun do not begin. Called until it has worked:
        the board may not answer in time."""
        if self._is_stopping or _answer(self._board.ask_to_stop.remote()) is None:
            return
        begun = self.progress()
        if begun is not None:
            self._is_stopping = True
            self._cancel(ref for ref, worker in self._running.items() if worker.task.number not in begun)

    def cut_short(self, grace: float) -> None:
        """End all workers, at once after the grace. A page that they have not committed is fetched again."""
        with suppress(Exception):  # the run ends by another error
            self.stop()
            ray.wait(list(self._running), num_returns=len(self._running), timeout=grace)
            self._cancel(self._running)

    def _cancel(self, refs: Iterable[Any]) -> None:
        for ref in list(refs):
            ray.cancel(ref, force=True)

    def _result(self, ref: Any, worker: "_Worker") -> WorkerResult | None:
        """How a worker ended; None when another one replaces it."""
        try:
            result: WorkerResult = ray.get(ref)
            return result
        except ray.exceptions.RayTaskError as error:  # the task was not even loaded: the node lacks a package
            why = (
                f"a node of the Ray cluster cannot run bizon: {_first_line(error.cause)}; install the same on all nodes"
            )
        except ray.exceptions.RayError as error:
            if self._is_stopping:
                return WorkerResult(PipelineReturnStatus.KILLED_BY_RUNNER)
            if worker.task.most_pages is not None:  # a new worker would not know how many pages are left
                logger.warning(f"A worker died ({type(error).__name__}); max_iterations keeps bizon from replacing it")
                return WorkerResult(PipelineReturnStatus.SUCCESS, capped=True)
            if worker.deaths < _MOST_DEATHS:
                logger.warning(f"A worker died ({type(error).__name__}): another one takes over")
                self.start(None, worker.deaths + 1)
                return None
            why = f"a worker died {_MOST_DEATHS + 1} times ({type(error).__name__}); run again to resume"
        return WorkerResult(PipelineReturnStatus.BACKEND_ERROR, error=why)


@dataclass(frozen=True, slots=True)
class _Worker:
    task: Task = field(repr=False)
    deaths: int = 0


def _worker(task: Task, board: Any) -> WorkerResult:
    """The task of a worker. Ray names its log and its process after ``name`` above, never after the arguments."""
    return worked(task, _beat_of(board))


def _beat_of(board: Any) -> Beat:
    def beat(worker: int, counters: list[int]) -> bool:
        return bool(_answer(board.beat.remote(worker, counters)))

    return beat


def _answer(ref: Any) -> Any:
    """The answer of the board; None when it comes too late. Raises what Ray raises for a board that is gone."""
    try:
        return ray.get(ref, timeout=_ANSWER)
    except ray.exceptions.GetTimeoutError:
        return None


def _first_line(error: Any) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
