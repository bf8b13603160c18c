"""The columns that the last run of a pipeline has added or widened, as the checkpoints of its job say."""

from typing import TYPE_CHECKING, NamedTuple

from bizon.common.errors.errors import BackendError, ConfigError
from bizon.destination.column_receipts import ColumnChanges, changes_of
from bizon.engine.backend.backend import BackendFactory

if TYPE_CHECKING:
    from bizon.common.models import BizonConfig


class ColumnReport(NamedTuple):
    """``state``: how far the job is. Its columns are in the table once it has succeeded; until then they may be in
    staging only."""

    job_id: str
    state: str
    changes: ColumnChanges


def columns_of_last_run(config: "BizonConfig") -> ColumnReport:
    """Read the state; nothing in it is created or changed. Columns that `record_schemas` declares are not among the
    changes: they are there before the first batch. Raises BackendError when the state knows of no run, and ConfigError
    for a state that lives in the memory of a run."""
    key = config.stream_key
    if config.engine.backend.is_in_memory:
        raise ConfigError(
            "backend type 'sqlite_in_memory' keeps no state between runs; use backend type 'sqlite' or 'postgres'",
            key=("engine", "backend", "type"),
        )
    with BackendFactory.get_backend(config.engine.backend) as backend:
        job = backend.get_last_stream_job(key) if backend.check_prerequisites() else None
        if job is None:
            raise BackendError(f"the state knows of no run of pipeline '{config.job_name}'")
        if job.sync_mode == "stream":
            raise BackendError(
                "a job in sync mode stream keeps one checkpoint, which does not say which columns it has added; "
                "`bizon schema show` lists those that the table has"
            )
        batches = [cursor.batch for cursor in backend.committed(job.id).cursors]
    return ColumnReport(job.id, job.status.value, changes_of(batches))
