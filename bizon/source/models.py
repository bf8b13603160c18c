"""The values that a source exchanges with the engine: records, pages, and the state of an incremental run.

All three work like pydantic models: ``model_validate``, ``model_dump``, as fields of a model. Only the state is a real
model: a run creates millions of records.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import BaseModel, Field, field_validator

from bizon.common.clock import as_utc, utc_now
from bizon.source.model_like import ModelLike

if TYPE_CHECKING:
    import polars as pl


RESTARTS = "bizon_restarts"
"""A key of ``next_pagination`` that says: only this run can fetch the next page, because it holds something open. A run
that would have to resume there starts the stream over, as a new job: nothing is lost or doubled, and everything is
fetched again."""


class OfferedStream(NamedTuple):
    """A stream that a source has found behind its connection, for ``bizon stream list CONFIG``. ``kind``: what it is
    there, for people. ``records``: about how many there are; None when nothing tells. ``is_incremental``: False when
    this one cannot be incremental, though the source can."""

    name: str
    kind: str = ""
    records: int | None = None
    is_incremental: bool = True


class SourceRecord(ModelLike):
    """One record of a stream.

    ``id`` identifies the record in its source; an int is accepted and stored as text. ``data`` is any JSON object:
    datetimes, UUIDs and Decimals in it are encoded, other objects are an error. ``timestamp`` is a datetime or ISO 8601
    text, UTC when naive; it defaults to now. ``destination_id`` routes the record to its own table in sync mode
    ``stream``. Raises TypeError for a value of another type, ValueError for a text that is not a date and time.
    """

    __slots__ = ("data", "destination_id", "id", "own_timestamp")
    _FIELDS = ("id", "data", "timestamp", "destination_id")
    _REQUIRED = ("id", "data")

    def __init__(
        self,
        id: str | int,
        data: dict[str, Any],
        timestamp: datetime | str | None = None,
        destination_id: str | None = None,
    ) -> None:
        if id.__class__ is not str:
            if not isinstance(id, str | int):
                raise TypeError(f"SourceRecord.id must be a string or an integer, not {type(id).__name__}")
            id = str(id)
        if data.__class__ is not dict and not isinstance(data, dict):
            if not isinstance(data, Mapping):
                raise TypeError(f"SourceRecord.data of record {id!r} must be a dict, not {type(data).__name__}")
            data = dict(data)
        if timestamp is not None and not isinstance(timestamp, datetime):
            timestamp = _moment(timestamp, f"SourceRecord.timestamp of record {id!r}")
        if destination_id is not None and not isinstance(destination_id, str):
            raise TypeError(f"SourceRecord.destination_id of record {id!r} must be a string, not {destination_id!r}")
        self.id: str = id
        self.data = data
        self.own_timestamp = timestamp
        """The timestamp from the source, or None; the engine stamps such records once per page."""
        self.destination_id = destination_id

    @property
    def timestamp(self) -> datetime:
        """When the record was created or changed in its source, in UTC."""
        if self.own_timestamp is None:
            self.own_timestamp = utc_now()
        return as_utc(self.own_timestamp)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SourceRecord):
            return NotImplemented
        return (self.id, self.data, self.own_timestamp, self.destination_id) == (
            other.id,
            other.data,
            other.own_timestamp,
            other.destination_id,
        )

    __hash__ = None  # type: ignore[assignment]  # a mutable value, like its dict

    def __repr__(self) -> str:
        return f"SourceRecord(id={self.id!r}, data=<{len(self.data)} keys>, destination_id={self.destination_id!r})"


def _moment(value: Any, name: str) -> datetime:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a datetime or ISO 8601 text, not {value!r}")
    try:
        return datetime.fromisoformat(value.strip())
    except ValueError:
        raise ValueError(f"{name} must be a datetime or ISO 8601 text, not {value!r}") from None


@dataclass(slots=True)
class JsonLines:
    """Records that are already JSON text, one object per line. ``source_data`` is that text, unchanged.

    ``text``: one text of many lines, a list of lines, or a Polars series of lines. Bytes are UTF-8; a line that is not
    is refused. Empty lines of one text are skipped. The id of a record is its field ``id_field``, a text or a number;
    each line is parsed for it. A source that knows the ``ids`` gives one per line and guarantees valid lines: bizon
    then only checks that a line begins and ends like an object.

    ``timestamps``: when each record was created, UTC when naive; None = when the page arrived. ``destination_ids``: the
    table of each record; None = the configured one. ``faults``: the input that cannot become a record, as line number
    from 0 and reason. Such a line is an object too, which holds the input (bytes as base64) and its origin. It is
    refused like a line that is not valid JSON, and ``on_error`` applies.
    """

    text: "bytes | str | Sequence[bytes] | Sequence[str] | pl.Series"
    id_field: str = "id"
    ids: "Sequence[str] | pl.Series | None" = None
    timestamps: "Sequence[datetime | None] | pl.Series | None" = None
    destination_ids: "Sequence[str | None] | pl.Series | None" = None
    faults: Mapping[int, str] = field(default_factory=dict)


@dataclass(slots=True)
class RecordFrame:
    """Records as the rows of a Polars frame. ``data`` of a record holds every column; ``id`` names the id column.

    At every depth, a date and time is written as RFC 3339 text (UTC when naive), a decimal as text, NaN as null.
    Convert binary values to text first. ``timestamp`` and ``destination_id`` name the columns for these, if there are
    any.
    """

    frame: "pl.DataFrame"
    id: str = "id"
    timestamp: str | None = None
    destination_id: str | None = None


@dataclass(slots=True)
class SourceIteration(ModelLike):
    """One page of a stream. ``records``: a list of :class:`SourceRecord`, or any iterable of them; a generator creates
    each record on demand, and is read once. Or the page as a whole: a :class:`JsonLines` or :class:`RecordFrame`. A
    dict with the fields of a record is converted to a record.

    ``next_pagination`` is what ``get`` receives for the next page, any JSON object; ``{}`` means the stream is
    exhausted. A page without records may still have a next page. ``next_state`` replaces the state between incremental
    runs once this run has succeeded; None keeps the old state.
    """

    _FIELDS = ("next_pagination", "records", "next_state")
    _REQUIRED = ("next_pagination",)

    next_pagination: dict[str, Any]
    records: "Iterable[SourceRecord] | JsonLines | RecordFrame" = field(default_factory=list)
    next_state: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        if isinstance(self.records, list) and self.records and isinstance(self.records[0], dict):
            with suppress(TypeError, ValueError):  # invalid records are reported, or refused, with their page
                self.records = [SourceRecord.model_validate(record) for record in self.records]


class SourceIncrementalState(BaseModel):
    """The window of an incremental run: ``last_run <= changed < run_started_at``. The windows of successive runs meet.

    ``last_run``: the end of the last succeeded job's window, less ``source.incremental_lookback``; aware, UTC.
    ``run_started_at``: when the current job was created. Both are whole units of ``cursor_resolution``, if it is set.
    ``state``: the last ``next_state`` of the last succeeded job; empty in a window of the past (``bizon run --since``).
    ``cursor_field``: as configured.
    """

    last_run: datetime
    state: dict[str, Any] = Field(default={})
    cursor_field: str | None = None
    run_started_at: datetime | None = None

    @field_validator("last_run", "run_started_at")
    @classmethod
    def _in_utc(cls, moment: datetime | None) -> datetime | None:
        return None if moment is None else as_utc(moment)

    def covers(self, changed: datetime) -> bool:
        """Whether a record that changed at this moment belongs to the window. A naive moment is in UTC."""
        moment = as_utc(changed)
        return self.last_run <= moment and (self.run_started_at is None or moment < self.run_started_at)
