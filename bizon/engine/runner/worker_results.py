"""One result of several producers."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from bizon.engine.pipeline.models import Parts, PipelineReturnStatus, WorkerResult

if TYPE_CHECKING:
    from bizon.engine.backend.models import Role

_KILLED = PipelineReturnStatus.KILLED_BY_RUNNER


def merged(results: Sequence[WorkerResult]) -> WorkerResult:
    """How all of them ended: the first that failed tells why; one that was stopped only counts when none failed."""
    if len(results) == 1:
        return results[0]
    failed = [each for each in results if not each.is_success]
    first = next((each for each in failed if each.status is not _KILLED), failed[0] if failed else results[0])
    errors = dict.fromkeys(each.error for each in failed if each.error is not None)
    return first._replace(
        error=" | ".join(errors) or None,
        capped=any(each.capped for each in results),
        overtaken=any(each.overtaken for each in results),
        refused=any(each.refused for each in results),
        misses_package=any(each.misses_package for each in results),
    )


def merged_by_role(results: "Iterable[tuple[Role, WorkerResult]]") -> dict[str, WorkerResult]:
    """The result of each role, by its name."""
    results_of: dict[str, list[WorkerResult]] = {}
    for role, result in results:
        results_of.setdefault(role.value, []).append(result)
    return {role: merged(each) for role, each in results_of.items()}


def merged_slots(results: Sequence[WorkerResult]) -> WorkerResult:
    """One result of all workers of a command on a joined job, with all their parts."""
    taken, finished = (sum(counts) for counts in zip(*(each.parts for each in results), strict=True))
    where = next((each.where for each in results if each.where is not None), None)
    letters = next((each.dead_letters for each in results if each.dead_letters is not None), None)
    return merged(results)._replace(parts=Parts(taken, finished), where=where, dead_letters=letters)


def split_by_role(result: WorkerResult) -> dict[str, WorkerResult]:
    """The result of each role of a worker that has both; the role that failed has the error."""
    if result.status is PipelineReturnStatus.SOURCE_ERROR:
        return {"producer": result, "consumer": WorkerResult(_KILLED, parts=result.parts)}
    status = PipelineReturnStatus.SUCCESS if result.is_success else _KILLED
    producer = WorkerResult(status, capped=result.capped, parts=result.parts)
    return {"producer": producer, "consumer": result}
