"""The producer's place in a stream, and the unit in which an incremental source tells time."""

from datetime import datetime, timedelta
from typing import Any, Self

import orjson

from bizon.common.clock import microseconds, utc_now
from bizon.common.errors.errors import ConfigError, MissingDependencyError, SourceFetchError
from bizon.engine.backend.models import JobStatus
from bizon.source.config import SourceConfig
from bizon.source.discover import resolve_source_class

_MICROSECOND = timedelta(microseconds=1)
_NO_MORE = b"{}"
_REMEDY = (
    "return {} when there are no more pages (a cursor that is null is not {}), or report it to the API's owner; then "
    "start with --fresh, since pages that came twice may be checkpointed"
)


class Cursor:
    """Which page comes next, and how much was fetched. Made once per run; used by the producer, on its thread.

    It says where fetching is, not what is safe: that is the destination cursor in the backend. Sync mode ``stream``
    has no cursor.
    """

    def __init__(self, source_name: str, stream_name: str, job_id: str, total_records: int | None = None) -> None:
        self.source_name = source_name
        self.stream_name = stream_name
        self.job_id = job_id
        self.total_records = total_records
        self.iteration = 0
        self.rows_fetched = 0
        self.created_at = utc_now()
        self._pagination = _NO_MORE
        self._remembered, self._since, self._keep_for = _NO_MORE, 0, 1

    @classmethod
    def from_db(
        cls,
        source_name: str,
        stream_name: str,
        job_id: str,
        total_records: int | None,
        iteration: int,
        rows_fetched: int,
        pagination: dict[str, Any],
    ) -> Self:
        """The place a checkpoint describes: ``iteration`` is the next one, ``pagination`` fetches it."""
        cursor = cls(source_name, stream_name, job_id, total_records)
        cursor.iteration = iteration
        cursor.rows_fetched = rows_fetched
        cursor._pagination = cursor._remembered = _as_bytes(pagination)
        return cursor

    @property
    def source_full_name(self) -> str:
        """``source.stream``."""
        return f"{self.source_name}.{self.stream_name}"

    @property
    def pagination(self) -> dict[str, Any]:
        """What fetches the next page, ``{}`` for the first; a copy, so a source may change it.

        Raises ValueError when the stream is exhausted: ``{}`` would start it over.
        """
        if self.is_finished:
            raise ValueError(f"stream '{self.source_full_name}' is exhausted after {self.iteration} iterations")
        return dict(orjson.loads(self._pagination))

    @property
    def is_finished(self) -> bool:
        """Whether the last page has been fetched."""
        return self.iteration > 0 and self._pagination == _NO_MORE

    @property
    def job_status(self) -> JobStatus:
        """How far fetching is, in the words of a job. Not the status of the job itself."""
        if self.is_finished:
            return JobStatus.SUCCEEDED
        return JobStatus.RUNNING if self.iteration else JobStatus.STARTED

    @property
    def percentage_fetched(self) -> float | None:
        """Share of the total that was fetched, 0 to 1; None when the total is unknown or 0. For display only."""
        if not self.total_records:
            return None
        return min(self.rows_fetched / self.total_records, 1.0)

    @property
    def avg_records_per_iteration(self) -> int | None:
        """Rows per page so far; None before the first."""
        return self.rows_fetched // self.iteration if self.iteration else None

    def update_state(self, pagination_dict: dict[str, Any], nb_records_fetched: int) -> None:
        """Note that a page arrived; ``pagination_dict``, which is JSON, fetches the next one, ``{}`` = there is none.

        Raises SourceFetchError, and notes nothing, when a page with that pagination was fetched before: the source
        would return the same pages for ever. A cycle of any length is found, after at most three times as many pages as
        it takes to go round it and to get into it.
        """
        following = _as_bytes(pagination_dict)
        if following != _NO_MORE:
            self._refuse_what_came_before(following)
        self.iteration += 1
        self.rows_fetched += nb_records_fetched
        self._pagination = following

    def _refuse_what_came_before(self, following: bytes) -> None:
        """Brent's algorithm: one pagination is remembered, for twice as many pages each time. In a cycle it comes again
        once it is of the cycle, and is remembered for as long as that is."""
        where = f"stream '{self.source_full_name}', iteration {self.iteration}"
        if following == self._pagination:
            raise SourceFetchError(
                f"{where}: the page names itself as the next page (next_pagination is the pagination it was fetched "
                f"with); {_REMEDY}"
            )
        self._since += 1
        if following == self._remembered:
            raise SourceFetchError(
                f"{where}: the pages go round: next_pagination is what it was {self._since} pages before; {_REMEDY}"
            )
        if self._since == self._keep_for:
            self._remembered, self._since, self._keep_for = following, 0, 2 * self._keep_for


def _as_bytes(pagination: dict[str, Any]) -> bytes:
    return orjson.dumps(pagination, option=orjson.OPT_SORT_KEYS)


def cursor_resolution(config: SourceConfig) -> timedelta:
    """The unit of the timestamps of a source: as configured, else as its class declares. Raises ConfigError."""
    if "cursor_resolution" in config.model_fields_set:
        return timedelta(seconds=config.cursor_resolution)
    try:
        source_class = resolve_source_class(config)
    except (ConfigError, MissingDependencyError):  # told where the source is built
        return timedelta(0)
    declared = source_class.cursor_resolution
    if isinstance(declared, bool) or not isinstance(declared, int | float) or declared < 0:
        raise ConfigError(
            f"cursor_resolution of {source_class.__name__} must be a number of seconds, 0 or more, it is {declared!r}"
        )
    return timedelta(seconds=declared)


def floored(moment: datetime, unit: timedelta) -> datetime:
    """The beginning of the unit that an aware moment is in, counted from 1970 in UTC; the moment itself for no unit."""
    return moment - timedelta(microseconds=microseconds(moment) % (unit // _MICROSECOND)) if unit else moment
