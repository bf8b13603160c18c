"""A run whose workers are tasks of a Ray cluster: the driver joins the job, waits, and may publish; the tasks take
parts."""

from typing import TYPE_CHECKING

from bizon.engine.runner.adapters.unpacking import pack
from bizon.engine.runner.joining.ray_cluster import connected
from bizon.engine.runner.joining.ray_tasks import RayTasks
from bizon.engine.runner.joining.runner import JoinedRunner

if TYPE_CHECKING:
    from collections.abc import MutableSequence

    from bizon.engine.backend.backend import AbstractBackend
    from bizon.engine.pipeline.models import WorkerResult
    from bizon.engine.runner.models import RunContext, RunnerStatus

_LOOK_EVERY = 1.0  # seconds
_GRACE = 5.0  # seconds that the workers get when an exception in the driver ends the run


class RayRunner(JoinedRunner):
    """The driver. Its workers die with it, and their leases expire."""

    def _run(self) -> "RunnerStatus":
        with connected(self.bizon_config.engine.runner.ray):
            return super()._run()

    @property
    def _most_workers(self) -> int:
        return self.bizon_config.engine.runner.ray.num_workers

    def _worked(
        self, context: "RunContext", caps: list[int | None], backend: "AbstractBackend"
    ) -> "list[WorkerResult]":
        workers = RayTasks(self.bizon_config.engine.runner.ray, self.bizon_config.name, pack(context))
        results: list[WorkerResult] = []
        lanes: dict[int, MutableSequence[int]] = {}
        try:
            for cap in caps:
                workers.start(cap)
            while not workers.is_empty:
                results += workers.ended(_LOOK_EVERY)
                self._show(workers.progress() or {}, lanes)
                if any(each.error is not None for each in results):
                    self._stop.set()
                if self._stop.is_set():
                    workers.stop()
        except BaseException:
            workers.cut_short(_GRACE)
            raise
        return results

    def _show(self, counters: dict[int, list[int]], lanes: "dict[int, MutableSequence[int]]") -> None:
        """Count what each worker has done as done by the run."""
        for number, counts in counters.items():
            if number not in lanes:
                lanes[number] = [0] * len(counts)
                self._progress.lane(lanes[number])
            lanes[number][:] = counts
