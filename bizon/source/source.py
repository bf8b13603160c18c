"""The interface a source connector implements."""

from abc import ABC, abstractmethod
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, ClassVar

from requests.auth import AuthBase

from bizon.source.callback import AbstractSourceCallback, NoOpSourceCallback
from bizon.source.config import HttpConfig, HttpRetriesConfig, SourceConfig
from bizon.source.session import Session

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bizon.config.streams import StreamConfig
    from bizon.source.member import Member
    from bizon.source.models import OfferedStream, SourceIncrementalState, SourceIteration

ANY_STREAM = "*"
"""In ``streams()``: the source has streams that only its connection knows."""


class AbstractSource(ABC):
    """Fetches one stream, page by page.

    One instance serves one run, or one partition in it. The engine calls ``check_connection`` once, then ``get`` or
    ``get_records_after`` repeatedly on one thread (in the process runner: in a process of its own). A source knows
    pages, pagination and its HTTP session; it never sees jobs, checkpoints or the destination. An exception from any
    method ends the run as failed; earlier pages stay committed, and the next run resumes after them.
    """

    resumes_streams: ClassVar[bool] = False
    """In sync mode ``stream``: True when the first ``get`` of a run needs the pagination of the last checkpoint. All
    other calls there have none: a stream continues from the position of its source."""

    takes_members: ClassVar[bool] = False
    """In sync mode ``stream``: True when several instances, in any processes, may read the stream at once and its own
    protocol divides it among them. ``bizon run --join`` then starts another member. Such a source overrides
    ``places_of`` and ``pagination_of``, and, with ``self.member``, claims each place before it reads it."""

    cursor_resolution: ClassVar[float] = 0
    """Seconds; the unit of the times by which the API filters: 0.001 for milliseconds, 60 for minutes, 0 for
    microseconds. Windows of incremental runs begin and end at whole units. The key of this name in the YAML wins."""

    fetches_over_http: ClassVar[bool] = True
    """False for a source whose pages do not come from requests of ``self.session``, but from a broker, a database or a
    file. The conformance suite then leaves out the faults of HTTP."""

    checks_credentials: ClassVar[bool] = True
    """False for a source that takes any credentials, because it sends them nowhere. For the conformance suite."""

    unfiltered_streams: ClassVar[Collection[str]] = ()
    """Streams that ``get_records_after`` fetches whole, because nothing in the API tells what changed. The conformance
    suite then expects all of their records in each incremental run, where it expects none of other streams."""

    partition: dict[str, Any] | None = None
    """The part of the stream that this instance fetches, one of ``get_partitions``; None = the whole stream. Set by the
    engine before ``check_connection``."""

    member: "Member | None" = None
    """With ``takes_members``: what this instance asks the engine when it is one of several; None = it reads alone. Set
    by the engine before ``check_connection``. The first ``get`` then has no pagination: places come with theirs."""

    def __init__(self, config: SourceConfig) -> None:
        self.config = config
        self.session = self.get_session()
        authenticator = self.get_authenticator()
        if authenticator is not None:
            self.session.auth = authenticator
        if config.streams_config:
            self.set_streams_config(list(config.streams_config))

    @staticmethod
    @abstractmethod
    def streams() -> list[str]:
        """Names of the streams. Return a literal list, or the values of an enum of the same folder, so that
        ``bizon source list`` can show them without importing the connector. ``["*"]``: the connection decides; then
        override ``offered_streams``, and let ``check_connection`` refuse a stream that is not there."""

    @staticmethod
    @abstractmethod
    def get_config_class() -> type[SourceConfig]:
        """The config class (not an instance) that validates the ``source`` block of the YAML."""

    @abstractmethod
    def get_authenticator(self) -> AuthBase | None:
        """Authentication for ``self.session``, or None. Called once, from the constructor."""

    @abstractmethod
    def check_connection(self) -> tuple[bool, Any | None]:
        """``(True, None)``, or ``(False, reason)``. Called once per run, before anything is fetched."""

    @abstractmethod
    def get(self, pagination: dict[str, Any] | None = None) -> "SourceIteration":
        """Fetch one page.

        ``pagination`` is the ``next_pagination`` of the previous page, and ``{}`` for the first page. Return
        ``next_pagination={}`` when there are no more pages. After a crash the engine repeats the call with a
        checkpointed ``pagination``, so it must identify the page.
        """

    def offered_streams(self) -> "list[OfferedStream] | None":
        """The streams behind the connection, for ``bizon stream list CONFIG``; None = ``streams()`` names them all.
        Called without ``check_connection``, whatever stream is configured. Raises SourceError."""
        return None

    def get_partitions(self) -> list[dict[str, Any]]:
        """The parts of the stream that several workers may fetch at once, in any order; none = the stream is one chain
        of pages. Each is a JSON object: a key range, a file, a window.

        Called once per job, with ``engine.runner.config.max_parallel_partitions`` above 1, after ``check_connection``
        and when the stream is fetched with ``get``, from its beginning. The state keeps the plan for all runs of the
        job. The engine then makes an instance for each partition, with ``self.partition``, whose ``get({})`` is its
        first page. Together the partitions have the records of the stream, each once; also those that appear after the
        plan was made, or the same of them as the whole stream has. Pages return ``next_state`` in one partition only,
        or the same in all of them.
        """
        return []

    @staticmethod
    def places_of(pagination: "Mapping[str, Any]") -> dict[str, dict[str, Any]]:
        """With ``takes_members``: the pagination of each place that the instance reads, by the name of the place.
        Called within a transaction of the state: it asks nobody."""
        raise NotImplementedError("a source that takes members overrides places_of")

    @staticmethod
    def pagination_of(places: "Mapping[str, dict[str, Any]]") -> dict[str, Any]:
        """With ``takes_members``: the reverse of ``places_of``, for places of any members. ``{}`` without places."""
        raise NotImplementedError("a source that takes members overrides pagination_of")

    def get_total_records_count(self) -> int | None:
        """Number of records of the stream, for the progress display only; None when unknown, 0 is a valid total."""
        return None

    def get_lag(self) -> int | None:
        """In sync mode ``stream``: the number of records that wait in the source, as far as known without a request.

        None when unknown. For display; called on the thread that fetches, every few seconds.
        """
        return None

    def get_records_after(
        self, source_state: "SourceIncrementalState", pagination: dict[str, Any] | None = None
    ) -> "SourceIteration":
        """Fetch one page of the records that changed since ``source_state.last_run``. Pagination works as in ``get``.

        ``source_state.covers`` says whether a record belongs to the window. An API that only takes the start of the
        window may also return newer records: the next run delivers them again.
        Called instead of ``get`` when ``sync_mode`` is ``incremental`` and an earlier job succeeded. A source that
        does not override it cannot run in ``incremental``; the validation of the configuration refuses it.
        """
        raise NotImplementedError(f"{type(self).__name__} does not support sync_mode incremental")

    def get_retry_policy(self) -> HttpRetriesConfig:
        """When ``self.session`` retries a request; from ``source.http``. Override it to suit an API."""
        return self._http_config().retries

    def set_streams_config(self, streams: list["StreamConfig"]) -> None:
        """Receive the top-level ``streams`` of the pipeline. Called once, from the constructor, when there are any; the
        default does nothing. Validate them in ``filled_from_streams`` of the config class."""
        return None

    def get_session(self) -> Session:
        """The HTTP session; override it to add headers. Called once, from the constructor."""
        http = self._http_config()
        return Session(retries=self.get_retry_policy(), timeout=http.timeout, raise_for_status=http.raise_for_status)

    def get_source_callback_instance(self) -> AbstractSourceCallback:
        """The callback that learns after each commit which pages are safe; the default does nothing."""
        return NoOpSourceCallback(config=self.config)

    def commit(self) -> None:
        """Called in ``sync_mode: stream`` after each commit, on the thread that fetches: all pages returned by ``get``
        so far are durable. A log consumer commits its offsets here. The default does nothing."""
        return None

    def skips(self, status: int) -> bool:
        """Whether the stream takes an answer with this HTTP status for the end of a list on purpose, and warns of it.
        The conformance suite then expects no error. By default every refusal is an error."""
        return False

    def close(self) -> None:
        """Release the session. Called once at the end of a run, also after a failure."""
        self.session.close()

    def _http_config(self) -> HttpConfig:
        if self.config.http is not None:
            return self.config.http
        limit = self.config.api_config.retry_limit
        return HttpConfig() if limit is None else HttpConfig(retries=HttpRetriesConfig(total=limit))
