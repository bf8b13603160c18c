"""The source under test: opened as a run opens it, read page by page, and what only its author knows."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn
from unittest import SkipTest

from bizon.engine.pipeline.fetcher import PageFetcher
from bizon.engine.runner.models import RunContext
from bizon.engine.runner.sources import build_source
from bizon.source.discover import resolve_source_class

if TYPE_CHECKING:
    from bizon.common.models import BizonConfig
    from bizon.config.validation import LoadedConfig
    from bizon.source.config import SourceConfig
    from bizon.source.models import SourceIncrementalState
    from bizon.source.source import AbstractSource

MOST_PAGES = 200


class BehaviourError(AssertionError):
    """The source lacks a behaviour. The text says what happened, where, and the remedy."""


class NotApplicable(SkipTest):
    """A behaviour that the source declares it cannot have, and why. pytest reports it as skipped."""


def broken(what: str, remedy: str) -> NoReturn:
    """Raise BehaviourError."""
    raise BehaviourError(f"{what}; {remedy}")


class Page(NamedTuple):
    """One page as a run receives it. ``asked``: the pagination it was asked for; ``data``: the JSON text of each
    record."""

    asked: dict[str, Any]
    ids: tuple[str, ...]
    data: tuple[str, ...]
    moments: tuple[datetime, ...]
    next_pagination: dict[str, Any]
    next_state: dict[str, Any] | None
    as_returned: Any
    """``next_pagination`` before a checkpoint has stored it."""


class Subject:
    """A source and its configuration. Created once per test by the fixture of the suite, or once by the command.

    ``empty``: the configuration of a stream without records. ``wrong``: one with credentials that are refused; by
    default every secret of the configuration is replaced. ``change``: alters the data and returns the ids of the
    changed records. ``examples``: the example pipelines; by default those in the folder of the source. ``began``: the
    moment from which windows are counted; a replay passes the moment of its recording.
    """

    def __init__(
        self,
        loaded: "LoadedConfig",
        *,
        empty: "SourceConfig | None" = None,
        wrong: "SourceConfig | None" = None,
        change: Callable[[], Collection[str]] | None = None,
        examples: Sequence[Path] = (),
        began: datetime | None = None,
    ) -> None:
        self.pipeline = loaded.config
        self.masked = loaded.masked
        self.empty = empty
        self.wrong = wrong
        self.change = change
        self.examples = examples
        self.began = began or datetime.now(UTC)

    @property
    def config(self) -> "SourceConfig":
        """The ``source`` block."""
        return self.pipeline.source

    @property
    def source_class(self) -> type["AbstractSource"]:
        """The class that the configuration names."""
        return resolve_source_class(self.config)

    def pipeline_of(self, config: "SourceConfig") -> "BizonConfig":
        """The pipeline with another ``source`` block."""
        return self.pipeline.model_copy(update={"source": config})

    @contextmanager
    def opened(
        self, config: "SourceConfig | None" = None, partition: dict[str, Any] | None = None
    ) -> Iterator["AbstractSource"]:
        """Within: a new source, as in a new process, of the stream or of a partition. Its connection is not checked."""
        with self.masked():
            source = build_source(self.pipeline_of(config or self.config))
            source.partition = partition
            try:
                yield source
            finally:
                source.close()

    def page(
        self, source: "AbstractSource", pagination: dict[str, Any] | None, state: "SourceIncrementalState | None" = None
    ) -> Page:
        """One page, by ``get``, or by ``get_records_after`` with a state. Raises the error that ends a run."""
        context = RunContext.without_job(self.pipeline_of(source.config), state)
        noting = _Noting(source)
        fetcher = PageFetcher(noting, context.new_monitor(), context.run, state)  # type: ignore[arg-type]
        message = fetcher.fetch(0, pagination)  # type: ignore[arg-type]  # None is what one behaviour is about
        columns = message.frame.select("id", "data", "timestamp").to_dict(as_series=False)
        return Page(
            pagination or {},
            tuple(columns["id"]),
            tuple(columns["data"]),
            tuple(columns["timestamp"]),
            message.pagination,
            message.next_state,
            noting.next_pagination,
        )

    def read(
        self,
        source: "AbstractSource",
        pagination: dict[str, Any] | None = None,
        state: "SourceIncrementalState | None" = None,
    ) -> list[Page]:
        """Every page from a pagination on, at most ``most_pages``. Raises BehaviourError when a pagination returns."""
        pages: list[Page] = []
        following, asked = pagination or {}, []
        while not pages or (following and len(pages) < self.most_pages):
            if following in asked:
                broken(
                    f"page {len(pages)} asks for {shown(following)} again, so paging never ends",
                    "return next_pagination={} with the last page; a null cursor is not {}",
                )
            asked.append(following)
            pages.append(self.page(source, following, state))
            following = pages[-1].next_pagination
        return pages

    @property
    def most_pages(self) -> int:
        """The number of pages that are read of one stream: ``source.max_iterations``, or 200."""
        return self.config.max_iterations or MOST_PAGES

    @cached_property
    def pages(self) -> list[Page]:
        """The first full read."""
        with self.opened() as source:
            return self.read(source)

    @property
    def is_whole(self) -> bool:
        """Whether the first read reached the end of the stream."""
        return not self.pages[-1].next_pagination

    def needs_the_end(self) -> None:
        """Raise NotApplicable unless the first read reached the end of the stream."""
        if not self.is_whole:
            raise NotApplicable(f"the stream was read for {self.most_pages} pages, and not to its end")

    @property
    def incremental(self) -> "SourceConfig":
        """The ``source`` block in sync mode incremental."""
        return self.config.in_mode("incremental")

    @property
    def is_unfiltered(self) -> bool:
        """Whether the source declares that an incremental run fetches the whole stream."""
        return self.config.stream in self.source_class.unfiltered_streams

    def ids(self) -> list[str]:
        """The ids of the first read, in order."""
        return ids_of(self.pages)


class _Noting:
    """A source of which the last pagination is noted as it was returned."""

    def __init__(self, source: "AbstractSource") -> None:
        self.config = source.config
        self._source = source
        self.next_pagination: Any = None

    def get(self, *asked: Any) -> Any:
        return self._noted(self._source.get(*asked))

    def get_records_after(self, *asked: Any) -> Any:
        return self._noted(self._source.get_records_after(*asked))

    def _noted(self, page: Any) -> Any:
        self.next_pagination = getattr(page, "next_pagination", None)
        return page


def ids_of(pages: Sequence[Page]) -> list[str]:
    """The ids of the records of pages, in order."""
    return [each for page in pages for each in page.ids]


def shown(value: Any, most: int = 120) -> str:
    """A value in a message, shortened."""
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]}..."


def listed(values: Collection[str], most: int = 5) -> str:
    """Some ids in a message."""
    some = ", ".join(map(repr, sorted(values)[:most]))
    return some if len(values) <= most else f"{some} and {len(values) - most} more"
