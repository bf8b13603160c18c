"""From JSON text and a known schema to a typed frame. No value is lost, changed or silently null. Pure.

A table's destination calls ``typed`` once per batch. When the result has ``unmet`` evidence, the destination may change
its table (``table_schema.py``) and call ``typed`` again with the new columns; nothing is kept between calls.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import polars as pl

from bizon.destination.columns import Column, frame_type
from bizon.destination.evidence import Evidence, evidence_of
from bizon.destination.fitting import REPLACEMENT, finished, fitted
from bizon.destination.leaves import Leaves, Path, leaves
from bizon.destination.rescued import Entry, rescued_text
from bizon.destination.shaped import Shapes

if TYPE_CHECKING:
    from bizon.destination.typed_engine import JsonMisfits

RESCUED = "_bizon_rescued"
"""The column with what did not fit: a JSON object, null when everything did."""
_SHOWN_KEYS = 3  # in a reason


@dataclass(frozen=True)
class Typed:
    """A typed batch.

    ``frame``: the columns in the order in which they were given, and ``_bizon_rescued``; a row per record, in order.
    ``rescued``: by path, the number of values that are in ``_bizon_rescued``. ``unmet``: what those values have in
    common, to decide about new and wider columns. ``faults``: by position, why a record is refused, without its id; its
    row has only nulls.
    """

    frame: pl.DataFrame
    rescued: dict[Path, int]
    unmet: dict[Path, Evidence]
    faults: dict[int, str]


def inferred(texts: pl.Series, flatten: int = 0) -> dict[Path, Evidence]:
    """Evidence of every leaf of every record, by path, in the order in which the paths first appear. A path under
    which there are only nulls is absent."""
    found: dict[Path, Evidence] = {}
    for some in leaves(texts, flatten):
        for path, values in some.columns.items():
            _note(found, path, evidence_of(values))
        for _, path, value in some.surplus:
            _note(found, path, evidence_of([value]))
    return found


def typed(
    texts: pl.Series,
    columns: Sequence[Column],
    flatten: int = 0,
    *,
    strict: bool = False,
    json_misfits: "JsonMisfits | None" = None,
) -> Typed:
    """The typed rows of JSON texts, one object each.

    A leaf goes to the column of its path if the type holds it without loss; a number is compared as a number, a moment
    as a moment. Any other leaf is null in its column, and stays in ``_bizon_rescued`` under its keys: a leaf of another
    type, one without a column, and of a repeated key all but the last. Text with NUL or half a surrogate pair is in
    both, with U+FFFD in the column.

    ``flatten``: levels of objects whose keys have columns of their own. ``strict``: records with rescued values are
    refused instead, each with a reason. A text that is not a JSON object, or is nested too deeply, is always refused.
    ``json_misfits``: values that no column of type json holds, where the engine stores less than any JSON.

    Not promised: a difference between null and a missing key; the spelling of numbers that are leaves (1.50 is 1.5), of
    escapes, and spaces.
    """
    batch = _Batch(columns, texts.len(), json_misfits)
    for some in leaves(texts, flatten, Shapes(columns, flatten, json_values=json_misfits is not None)):
        batch.add(some)
    return batch.finish(strict=strict)


def unheld(frame: pl.DataFrame, column: str | None, key: str) -> list[int]:
    """The rows of a typed frame that have a value for a key of the record in ``_bizon_rescued`` alone, or with U+FFFD
    in its column, where other values may look the same. ``column``: of the key; None: it has none."""
    rescued = frame[RESCUED]
    found = rescued.is_not_null()
    if column is not None:
        values = frame[column]
        is_text = values.dtype == pl.String
        found &= values.is_null() | values.str.contains(REPLACEMENT, literal=True) if is_text else values.is_null()
    return [row for row in found.arg_true() if key in json.loads(rescued[row])]


@dataclass
class _Batch:
    columns: Sequence[Column]
    height: int
    json_misfits: "JsonMisfits | None"
    parts: dict[Path, list[pl.Series]] = field(default_factory=dict)
    entries: dict[int, list[Entry]] = field(default_factory=dict)
    rescued: dict[Path, int] = field(default_factory=dict)
    unmet: dict[Path, Evidence] = field(default_factory=dict)
    faults: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.parts = {column.path: [] for column in self.columns}

    def add(self, some: Leaves) -> None:
        for row, path, value in some.surplus:
            self._rescue(path, [(row, value)])
        for column in self.columns:
            if (series := some.series.get(column.path)) is not None:
                self.parts[column.path].append(series)
                continue
            values = some.columns.get(column.path)
            if values is None:
                self.parts[column.path].append(pl.Series([None], dtype=pl.Null).new_from_index(0, some.height))
                continue
            fit = fitted(values, column.type, self.json_misfits)
            self.parts[column.path].append(fit.series)
            if fit.misfits:
                self._rescue(column.path, [(some.first + at, values[at]) for at in fit.misfits])
        for path, values in some.columns.items():
            if path in self.parts:
                continue
            self._rescue(path, [(some.first + at, value) for at, value in enumerate(values) if value is not None])
        self.faults.update(some.faults)

    def finish(self, *, strict: bool) -> Typed:
        series = [self._finished(column) for column in self.columns]
        texts: list[str | None] = [None] * self.height
        for row, entries in self.entries.items():
            texts[row] = rescued_text(entries)
        frame = pl.DataFrame([*series, pl.Series(RESCUED, texts, dtype=pl.String)])
        faults = dict(self.faults)
        if strict and self.entries:
            faults.update((row, _reason(entries)) for row, entries in self.entries.items())
            kept = pl.Series([row not in faults for row in range(self.height)], dtype=pl.Boolean)
            frame = frame.select(pl.when(kept).then(pl.col(name)).alias(name) for name in frame.columns)
        return Typed(frame, self.rescued, self.unmet, dict(sorted(faults.items())))

    def _finished(self, column: Column) -> pl.Series:
        known = [part for part in self.parts[column.path] if part.dtype != pl.Null]
        if not known:
            return pl.Series(column.name, [None], dtype=frame_type(column.type)).new_from_index(0, self.height)
        parts = [part if part.dtype != pl.Null else part.cast(known[0].dtype) for part in self.parts[column.path]]
        text = pl.concat(parts, rechunk=True)
        fit = finished(text, column.type)
        if fit.misfits:
            self._rescue(column.path, list(zip(fit.misfits, text.gather(fit.misfits), strict=True)))
        return fit.series.alias(column.name)

    def _rescue(self, path: Path, values: Sequence[tuple[int, Any]]) -> None:
        if not values:
            return
        for row, value in values:
            self.entries.setdefault(row, []).append((path, value))
        self.rescued[path] = self.rescued.get(path, 0) + len(values)
        _note(self.unmet, path, evidence_of([value for _, value in values]))


def _note(found: dict[Path, Evidence], path: Path, evidence: Evidence) -> None:
    if evidence.shapes:
        found[path] = found.get(path, Evidence()) | evidence


def _reason(entries: Iterable[Entry]) -> str:
    keys = list(dict.fromkeys(".".join(path) for path, _ in entries))
    more = f" and {len(keys) - _SHOWN_KEYS} more" if len(keys) > _SHOWN_KEYS else ""
    shown = ", ".join(f"'{key}'" for key in keys[:_SHOWN_KEYS])
    return f"does not fit its table in {shown}{more}: no column there, or one of another type"
