"""Test doubles of the contracts: a scripted source, destinations in memory, ready-made contexts."""

from collections.abc import Callable, Sequence
from typing import Any

import polars as pl

from bizon.common.models import BizonConfig
from bizon.common.sync import SyncMetadata
from bizon.destination.config import AbstractDestinationDetailsConfig
from bizon.destination.destination import AbstractDestination
from bizon.destination.models import ResumePoint
from bizon.engine.backend.adapters.sqlalchemy.backend import SQLAlchemyBackend
from bizon.engine.backend.backend import AbstractBackend
from bizon.engine.backend.config import AbstractBackendConfigDetails, BackendTypes
from bizon.engine.backend.models import StreamKey
from bizon.engine.pipeline.run import Run
from bizon.monitoring.monitor import NoOpMonitor
from bizon.source.callback import AbstractSourceCallback, NoOpSourceCallback
from bizon.source.config import SourceConfig
from bizon.source.models import SourceIteration, SourceRecord
from bizon.source.source import AbstractSource

KEY = StreamKey("pipe", "scripted", "items")


def run_of(job_id: str, epoch: int = 0, **resume: Any) -> Run:
    """A start of a job, with both roles."""
    return Run(job_id, KEY, epoch, epoch, ResumePoint(job_id, **resume))


class FakeClock:
    """A monotonic clock that moves only by ``advance``."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


Page = Sequence[int] | Exception | Callable[[], object]


class EmptySource(AbstractSource):
    """Serves one page without records."""

    @staticmethod
    def streams() -> list[str]:
        return ["items"]

    @staticmethod
    def get_config_class() -> type[SourceConfig]:
        return SourceConfig

    def get_authenticator(self) -> None:
        return None

    def check_connection(self) -> tuple[bool, None]:
        return True, None

    def get(self, pagination: dict[str, Any] | None = None) -> SourceIteration:
        return SourceIteration(next_pagination={}, records=[])


class ScriptedSource(EmptySource):
    """Serves a script: each page is a list of record ids, an exception to raise, or a function to call."""

    def __init__(self, pages: Sequence[Page], config: SourceConfig | None = None) -> None:
        self.pages = list(pages)
        self.asked: list[dict[str, Any]] = []
        self.commits = 0
        super().__init__(config or SourceConfig(name="scripted", stream="items"))

    def get(self, pagination: dict[str, Any] | None = None) -> SourceIteration:
        self.asked.append(dict(pagination or {}))
        number = (pagination or {}).get("page", 0)
        page = self.pages[number]
        if isinstance(page, Exception):
            raise page
        if callable(page):
            return page()  # type: ignore[return-value]
        return SourceIteration(
            records=[SourceRecord(id=record_id, data={"n": record_id}) for record_id in page],
            next_pagination={"page": number + 1} if number + 1 < len(self.pages) else {},
        )

    def commit(self) -> None:
        self.commits += 1


class ListDestination(AbstractDestination):
    """Records its calls in ``calls``, one entry each, and rows by table in ``rows``."""

    def __init__(self, config: AbstractDestinationDetailsConfig | None = None, sync_mode: str = "full_refresh") -> None:
        super().__init__(
            sync_metadata=sync_metadata(sync_mode),
            config=config or AbstractDestinationDetailsConfig(destination_id="table"),
            backend=memory_backend(),
            source_callback=NoOpSourceCallback(SourceConfig(name="scripted", stream="items")),
            monitor=NoOpMonitor(sync_metadata(sync_mode)),
        )
        self.calls: list[str] = []
        self.rows: dict[str, list[str]] = {}
        self.answers: list[tuple[bool, str | None] | Exception] = []
        self.finalize_answer: bool | Exception = True

    def check_connection(self) -> bool:
        return True

    def prepare(self, resume: ResumePoint) -> None:
        self.calls.append(f"prepare {resume.last_iteration}")

    def write_records(self, df_destination_records: pl.DataFrame) -> tuple[bool, str | None]:
        self.calls.append(f"write {self.destination_id} {self.batch.from_iteration}-{self.batch.to_iteration}")
        answer = self.answers.pop(0) if self.answers else (True, None)
        if isinstance(answer, Exception):
            raise answer
        if answer[0]:
            self.rows.setdefault(self.destination_id, []).extend(df_destination_records["source_record_id"])
        return answer

    def finalize(self) -> bool:
        self.calls.append("finalize")
        if isinstance(self.finalize_answer, Exception):
            raise self.finalize_answer
        return self.finalize_answer


class RecordingCallback(AbstractSourceCallback):
    """Records the pagination of the pages that were written, one list per call."""

    def __init__(self) -> None:
        super().__init__(SourceConfig(name="scripted", stream="items"))
        self.written: list[list[dict[str, Any]]] = []

    def on_iterations_written(self, iterations: list[SourceIteration]) -> None:
        self.written.append([iteration.next_pagination for iteration in iterations])


def memory_backend() -> SQLAlchemyBackend:
    """A backend in memory, with its tables."""
    backend = SQLAlchemyBackend(AbstractBackendConfigDetails(database="x"), BackendTypes.SQLITE_IN_MEMORY)
    backend.create_all_tables()
    return backend


def sync_metadata(sync_mode: str = "full_refresh", *, replaces: bool = False) -> SyncMetadata:
    return SyncMetadata(
        name="pipe",
        job_id="job",
        source_name="scripted",
        stream_name="items",
        sync_mode=sync_mode,
        destination_name="file",
        destination_alias="file",
        replaces=replaces,
    )


def pipeline(**source: Any) -> BizonConfig:
    """A config whose source block has these keys."""
    return BizonConfig.model_validate(
        {
            "name": "pipe",
            "source": {"name": "scripted", "stream": "items", **source},
            "destination": {"name": "logger", "config": {}},
        }
    )


def new_job(backend: AbstractBackend, sync_mode: str = "full_refresh") -> str:
    return backend.create_stream_job(KEY, sync_mode).id
