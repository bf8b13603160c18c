"""Compares typed rows with the JSON texts that they came from, by an independent reading of the texts."""

import json
from base64 import b64encode
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from bizon.destination.column_types import Kind
from bizon.destination.columns import Column
from bizon.destination.typed import RESCUED, Typed

Path = tuple[str, ...]


class Pairs(tuple[Any, ...]):
    """The members of an object, in order, repeated keys included."""


def exact(text: str) -> Any:
    """JSON with every digit: numbers are decimals, objects are pairs, NaN and infinities are text."""
    return json.loads(
        text, parse_float=Decimal, parse_int=Decimal, parse_constant=str, object_pairs_hook=lambda pairs: Pairs(pairs)
    )


def leaves_of(record: Pairs, flatten: int, path: Path = ()) -> dict[Path, list[Any]]:
    """The leaves that are not null, by path, in the order of the record."""
    found: dict[Path, list[Any]] = {}
    for key, value in record:
        here = (*path, key)
        if isinstance(value, Pairs) and value and len(path) < flatten:
            for inner, values in leaves_of(value, flatten, here).items():
                found.setdefault(inner, []).extend(values)
        elif value is not None:
            found.setdefault(here, []).append(value)
    return found


def assert_nothing_is_lost(texts: list[str], typed: Typed, columns: list[Column], flatten: int = 0) -> None:
    """Every leaf of every record is in its column exactly or in the rescued column exactly."""
    for row, (text, values) in enumerate(zip(texts, typed.frame.iter_rows(named=True), strict=True)):
        if row in typed.faults:
            continue
        expected = leaves_of(exact(text), flatten)
        rescued = {} if values[RESCUED] is None else leaves_of(exact(values[RESCUED]), flatten)
        by_path = {column.path: column for column in columns}
        assert rescued.keys() <= expected.keys(), (text, values)
        for path, leaves in expected.items():
            column = by_path.get(path)
            value = None if column is None else values[column.name]
            if rescued.get(path) == leaves:
                assert value is None or "\ufffd" in value, (text, values)
            else:
                assert column is not None, (text, values)
                assert rescued.get(path, []) == leaves[:-1], (text, values)
                assert same(value, leaves[-1], column), (text, values, column)
        for column in columns:
            assert values[column.name] is None or column.path in expected, (text, values)


def same(value: Any, leaf: Any, column: Column) -> bool:
    """Whether the value of a column is the leaf."""
    if value is None:
        return False
    kind = column.type.kind
    if kind is Kind.JSON:
        return bool(exact(value) == leaf)
    if kind in (Kind.INT64, Kind.FLOAT64, Kind.DECIMAL):
        return isinstance(leaf, Decimal) and Decimal(str(value)) == leaf
    if kind is Kind.BOOLEAN:
        return value is leaf
    if not isinstance(leaf, str):
        return False
    return bool(value == _parsed(leaf) if kind is Kind.TIMESTAMP else _written(value) == leaf)


def _parsed(leaf: str) -> datetime:
    whole, _, rest = leaf.partition(".")
    digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    assert digits[6:].strip("0") == ""
    moment = datetime.fromisoformat((whole + rest[len(digits) :]).upper())
    return moment.astimezone(UTC).replace(microsecond=int(digits[:6].ljust(6, "0")))


def _written(value: Any) -> str:
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if isinstance(value, time):
        return value.isoformat()
    return value.isoformat() if isinstance(value, date) else str(value)
