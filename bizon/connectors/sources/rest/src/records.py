"""From the objects of an answer to records."""

from typing import TYPE_CHECKING, Any, NamedTuple

from bizon.common.errors.errors import SourceFetchError
from bizon.connectors.sources.rest.src.moments import Moments
from bizon.connectors.sources.rest.src.selector import holds, selected
from bizon.source.models import SourceRecord

if TYPE_CHECKING:
    from bizon.connectors.sources.rest.src.endpoint_config import EndpointConfig
    from bizon.connectors.sources.rest.src.windows import Window

DELETED = "_deleted"
"""The field that marks a tombstone."""


class Found(NamedTuple):
    """The records of a page. ``deleted``: the positions of tombstones among them."""

    records: list[SourceRecord]
    deleted: set[int]


class RecordMaker:
    """Makes the records of one endpoint. ``refused`` counts the objects that ``where`` has left out."""

    def __init__(self, stream: str, endpoint: "EndpointConfig") -> None:
        self._stream = stream
        self._endpoint = endpoint
        limits = endpoint.incremental
        layout, zone = ("iso8601", "UTC") if limits is None else (limits.cursor_format, limits.zone)
        self._moments = Moments(layout, zone)
        self._ids = endpoint.ids
        rules = (endpoint.where, endpoint.deleted, endpoint.timestamp, limits)
        is_plain = rules == (None,) * 4 and len(self._ids) == 1 and self._ids[0].isidentifier()
        self._plain_id = self._ids[0] if is_plain else None
        self.refused = 0

    def found(self, items: list[dict[str, Any]], included: dict[str, Any], window: "Window") -> Found:
        """The records in objects, without those that ``where`` refuses, and those outside of the window. ``included``:
        fields of the parent. Raises SourceFetchError for an object that is not a record."""
        records, deleted = list[SourceRecord](), set[int]()
        plain = None if included else self._plain_id
        for item in items:
            usual = None if plain is None else item.get(plain)
            if usual.__class__ is int or (usual.__class__ is str and usual):  # records are many, and most are such
                records.append(SourceRecord(usual, item))
            elif (made := self._made(item, included, window)) is not None:
                record, is_deleted = made
                deleted.update([len(records)] if is_deleted else [])
                records.append(record)
        return Found(records, deleted)

    def _made(
        self, item: dict[str, Any], included: dict[str, Any], window: "Window"
    ) -> tuple[SourceRecord, bool] | None:
        """A record, and whether it is a tombstone."""
        endpoint = self._endpoint
        if included and not included.keys().isdisjoint(item):
            name = next(name for name in included if name in item)
            raise self._wrong(f"a record has a field '{name}' of its own; name it otherwise in `parent.include`")
        data = {**item, **included} if included else item
        if endpoint.where is not None and not holds(endpoint.where, data):
            self.refused += 1
            return None
        id_ = self._id(data)
        if not self._is_within(data, window, id_):
            return None
        is_deleted = endpoint.deleted is not None and holds(endpoint.deleted, data)
        if is_deleted:
            if DELETED in data:
                raise self._wrong(f"record {id_!r} has a field '{DELETED}' of its own; leave out `deleted` and use it")
            data[DELETED] = True
        return SourceRecord(id=id_, data=data, timestamp=self._timestamp(data, id_)), is_deleted

    def _id(self, data: dict[str, Any]) -> str | int:
        if len(self._ids) == 1 and (usual := selected(self._ids[0], data)).__class__ in (str, int) and usual != "":
            return usual
        parts = [(selector, selected(selector, data)) for selector in self._ids]
        for selector, part in parts:
            if isinstance(part, bool) or not isinstance(part, str | int) or part == "":
                kind = "nothing" if part in (None, "") else f"a {type(part).__name__}"
                raise self._wrong(
                    f"a record has {kind} at '{selector}', the key `id`, where a text or an integer is due"
                )
        return ":".join(str(part).replace("%", "%25").replace(":", "%3A") for _, part in parts)

    def _is_within(self, data: dict[str, Any], window: "Window", id_: str | int) -> bool:
        limits = self._endpoint.incremental
        if limits is None or window == (None, None):
            return True
        value = selected(limits.cursor_field, data)
        try:
            return window.covers(self._moments.read(value))
        except ValueError as error:
            if value is None:
                raise self._wrong(
                    f"record {id_!r} has no '{limits.cursor_field}', so nothing tells whether it changed; leave such "
                    f'records out with `where: "{limits.cursor_field}"`, or name another `cursor_field`'
                ) from None
            raise self._wrong(
                f"record {id_!r} has at '{limits.cursor_field}' {error}; set `incremental.cursor_format`"
            ) from None

    def _timestamp(self, data: dict[str, Any], id_: str | int) -> Any:
        """The moment of a record, or None when it names none."""
        if self._endpoint.timestamp is None:
            return None
        value = selected(self._endpoint.timestamp, data)
        if value in (None, ""):
            return None
        try:
            return self._moments.read(value)
        except ValueError as error:
            raise self._wrong(
                f"record {id_!r} has at '{self._endpoint.timestamp}' {error}; set `incremental.cursor_format`, or "
                "leave `timestamp` out"
            ) from None

    def _wrong(self, what: str) -> SourceFetchError:
        return SourceFetchError(f"endpoint '{self._stream}': {what}")
