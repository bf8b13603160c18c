"""The part of one stream in what the streams of a run share: memory, and the limits of an API."""

from typing import TYPE_CHECKING

from bizon.engine.runner.config import RunnerTypes

if TYPE_CHECKING:
    from bizon.common.models import BizonConfig


def in_share(config: "BizonConfig", count: int) -> "BizonConfig":
    """The configuration of one of ``count`` streams that run at the same time: ``buffer_size`` and the micro-batches of
    sync mode ``stream`` are divided, down to 1 MB. With the process runner, whose sources share no memory, a source
    divides its limit of requests as well. Checkpoints do not depend on any of these."""
    details = config.destination.config
    buffer = details.model_copy(update={"buffer_size": _part(details.buffer_size, count)})
    runner = config.engine.runner.config
    batch = runner.micro_batch.model_copy(update={"max_size": _part(runner.micro_batch.max_size, count)})
    engine = config.engine.model_copy(
        update={
            "runner": config.engine.runner.model_copy(
                update={"config": runner.model_copy(update={"micro_batch": batch})}
            )
        }
    )
    is_apart = config.runner_type in (RunnerTypes.PROCESS, RunnerTypes.RAY)
    parts = {
        "source": config.source.in_share(count) if is_apart else config.source,
        "destination": config.destination.model_copy(update={"config": buffer}),
        "engine": engine,
    }
    return config.shared_by(count, parts)


def _part(size: int, count: int) -> int:
    """A part of a size in MB. 0 stays 0: each page is written at once."""
    return size and max(1, size // count)
