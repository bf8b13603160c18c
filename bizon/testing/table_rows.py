"""Compares the row of a table with the JSON text of its record, by a reading of its own: numbers are decimals, objects
are pairs, so that no digit, no order and no repeated key is overlooked."""

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from bizon.destination.column_names import RESERVED, NameRefusedError, NameRules, folded
from bizon.destination.column_types import Kind, column_type

Row = Mapping[str, Any]
RESCUED = "_bizon_rescued"
_REPLACED = "\ufffd"


class Pairs(tuple[Any, ...]):
    """The members of an object, in order, repeated keys included."""


class TableColumns(NamedTuple):
    """``types``: the columns of the records in a table, by name. ``rules``: how keys become names.
    ``keeps_json``: whether columns of type json keep order and repetition of keys."""

    types: Mapping[str, str]
    rules: NameRules = NameRules()
    keeps_json: bool = True

    def of(self, key: str) -> str | None:
        """The column of a key; None when it has none."""
        try:
            name = self.rules.name((key,))
        except NameRefusedError:
            return None
        return name if name in self.types else None


def exact(text: str) -> Any:
    """JSON with every digit; NaN and infinities are text."""
    return json.loads(
        text, parse_float=Decimal, parse_int=Decimal, parse_constant=str, object_pairs_hook=lambda pairs: Pairs(pairs)
    )


def differences(text: str, row: Row, columns: TableColumns) -> list[str]:
    """The ways in which a row is not its record: none when each value is in its column, or else in the rescued one.

    A value is in both only where its text has NUL or half a surrogate pair, which the column replaces.
    """
    sent, kept = _values(exact(text)), _values(exact(row[RESCUED]) if row[RESCUED] is not None else Pairs())
    found = [f"{key!r} was rescued, but not sent" for key in kept.keys() - sent.keys()]
    taken = set()
    for key, values in sent.items():
        name = columns.of(key)
        value = None if name is None else row[name]
        taken.add(name)
        if kept.get(key) == values:
            if value is not None and _REPLACED not in str(value):
                found.append(f"{key!r} is in its column, {value!r}, and rescued, too")
        elif value is None or name is None:
            found.append(f"{key!r}: {values!r} is lost")
        elif kept.get(key, []) != values[:-1] or not same(value, values[-1], columns.types[name], columns.keeps_json):
            found.append(f"{key!r} is {value!r} in a column of type {columns.types[name]}, sent was {values!r}")
    invented = [name for name in columns.types if name not in taken and row[name] is not None]
    return found + [f"column {name!r} has {row[name]!r}, which was not sent" for name in invented]


def same(value: Any, sent: Any, kind: str, keeps_json: bool = True) -> bool:
    """Whether the value of a column is the value that was sent. Numbers and moments may come as text."""
    wanted = column_type(kind).kind
    if wanted is Kind.JSON:
        found = exact(value if isinstance(value, str) else json.dumps(value))
        return bool(found == sent if keeps_json else _unordered(found) == _unordered(sent))
    if wanted in (Kind.INT64, Kind.FLOAT64, Kind.DECIMAL):
        return _same_number(value, sent, is_float=wanted is Kind.FLOAT64)
    if wanted is Kind.BOOLEAN:
        return value is sent
    if not isinstance(sent, str):
        return False
    if wanted is Kind.TIMESTAMP:
        return moment(value) == moment(sent)
    return (value.isoformat() if isinstance(value, date) else value) == sent


def moment(value: Any) -> datetime:
    """An aware datetime, or RFC 3339 text, in UTC. Fails for a datetime without a zone."""
    found = value if isinstance(value, datetime) else datetime.fromisoformat(_microseconds(str(value).upper()))
    assert found.tzinfo is not None, f"{value!r} has no time zone; `rows` adds UTC where the driver drops it"
    return found.astimezone(UTC)


def own_columns(types: Mapping[str, str]) -> dict[str, str]:
    """The columns of the records, without our own."""
    return {name: kind for name, kind in types.items() if not folded(name).startswith(RESERVED)}


def _values(record: Pairs) -> dict[str, list[Any]]:
    """The values of each key that are not null, in order."""
    found: dict[str, list[Any]] = {}
    for key, value in record:
        if value is not None:
            found.setdefault(key, []).append(value)
    return found


def _same_number(value: Any, sent: Any, *, is_float: bool) -> bool:
    if not isinstance(sent, Decimal) or isinstance(value, bool):
        return False
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return False
    is_fraction = int(sent.as_tuple().exponent) < 0
    return number == sent and (not (is_float and is_fraction) or number.is_signed() == sent.is_signed())


def _microseconds(text: str) -> str:
    """RFC 3339 text with at most six digits after the point; more have to be zeros."""
    whole, point, rest = text.partition(".")
    digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    assert not digits[6:].strip("0"), text
    return f"{whole}{point}{digits[:6].ljust(6, '0') if point else ''}{rest[len(digits) :]}"


def _unordered(value: Any) -> Any:
    if isinstance(value, Pairs):
        return {key: _unordered(inner) for key, inner in value}
    return [_unordered(inner) for inner in value] if isinstance(value, list) else value
