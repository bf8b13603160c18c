"""The position of the producer in a stream."""

from typing import Any, Self

import orjson

from bizon.common.clock import utc_now
from bizon.common.errors.errors import SourceFetchError
from bizon.engine.backend.models import JobStatus

_NO_MORE = b"{}"
_REMEDY = (
    "return {} when there are no more pages (a null cursor is not {}), or report it to the owner of the API; then "
    "start with --fresh, since checkpoints may cover duplicate pages"
)


class Cursor:
    """The next page, and the number of rows fetched so far. Created once per run; used by the producer, on its thread.

    It marks the progress of fetching. The destination cursor in the backend marks which pages are safe. Sync mode
    ``stream`` has no cursor.
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
        """The position of a checkpoint: ``iteration`` is the next page, ``pagination`` fetches it."""
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
        """The pagination of the next page, ``{}`` for the first page. A copy, so a source may change it.

        Raises ValueError when the stream is exhausted: ``{}`` would restart it.
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
        """The progress of fetching as a job status. Not the status of the job itself."""
        if self.is_finished:
            return JobStatus.SUCCEEDED
        return JobStatus.RUNNING if self.iteration else JobStatus.STARTED

    @property
    def percentage_fetched(self) -> float | None:
        """The fetched share of the total, 0 to 1; None when the total is unknown or 0. For display only."""
        if not self.total_records:
            return None
        return min(self.rows_fetched / self.total_records, 1.0)

    @property
    def avg_records_per_iteration(self) -> int | None:
        """Rows per page so far; None before the first page."""
        return self.rows_fetched // self.iteration if self.iteration else None

    def update_state(self, pagination_dict: dict[str, Any], nb_records_fetched: int) -> None:
        """Record that a page arrived. ``pagination_dict``, which is JSON, fetches the next page; ``{}`` = no more
        pages.

        Raises SourceFetchError, and records nothing, when a page with that pagination was fetched before: the source
        would return the same pages forever. A cycle of any length is found, after at most three times as many pages as
        the cycle and the way to it have together.
        """
        following = _as_bytes(pagination_dict)
        if following != _NO_MORE:
            self._refuse_repeated(following)
        self.iteration += 1
        self.rows_fetched += nb_records_fetched
        self._pagination = following

    def _refuse_repeated(self, following: bytes) -> None:
        """Brent's algorithm: remember one pagination at a time, each for twice as many pages as the one before. In a
        cycle it returns once it is part of the cycle and is remembered for at least the cycle's length."""
        where = f"stream '{self.source_full_name}', iteration {self.iteration}"
        if following == self._pagination:
            raise SourceFetchError(
                f"{where}: the page names itself as the next page (next_pagination is the pagination it was fetched "
                f"with); {_REMEDY}"
            )
        self._since += 1
        if following == self._remembered:
            raise SourceFetchError(
                f"{where}: the pages repeat: next_pagination is the same as {self._since} pages before; {_REMEDY}"
            )
        if self._since == self._keep_for:
            self._remembered, self._since, self._keep_for = following, 0, 2 * self._keep_for


def _as_bytes(pagination: dict[str, Any]) -> bytes:
    return orjson.dumps(pagination, option=orjson.OPT_SORT_KEYS)
