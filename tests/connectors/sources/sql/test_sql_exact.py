"""Values of keys and durations, in this process: what a checkpoint reads back is what was there."""

import json
import math
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymysql.constants import FIELD_TYPE

from bizon.connectors.sources.sql.src.config import SqlSourceConfig
from bizon.connectors.sources.sql.src.durations import duration
from bizon.connectors.sources.sql.src.exact import decoded, encoded
from bizon.connectors.sources.sql.src.flavour import Column
from bizon.connectors.sources.sql.src.mysql import MySql
from bizon.connectors.sources.sql.src.values import single_number

VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec=None), max_size=20)
    | st.binary(max_size=20)
    | st.decimals(allow_nan=False)
    | st.uuids()
    | st.dates()
    | st.times()
    | st.datetimes(timezones=st.none() | st.just(UTC) | st.just(timezone(timedelta(hours=-3, minutes=-30))))
    | st.timedeltas()
)


@given(VALUES)
def test_a_value_comes_back_from_a_checkpoint(value: object) -> None:
    back = decoded(json.loads(json.dumps(encoded(value))))
    assert type(back) is type(value)
    assert back == value
    assert str(back) == str(value)  # 1.0 is not 1.00, and -0.0 is not 0.0


@pytest.mark.parametrize(
    "value",
    [2**63, float("inf"), Decimal("1.10"), "NUL\0", b"\xff", UUID(int=7), date(1, 1, 1), time(1), datetime(1, 1, 1)],
)
def test_a_value_that_json_lacks_is_named_by_its_type(value: object) -> None:
    assert list(encoded(value)) == [type(value).__name__]


def test_nan_comes_back() -> None:
    assert math.isnan(decoded(encoded(float("nan"))))


def test_a_value_of_another_type_is_refused() -> None:
    with pytest.raises(TypeError, match="a value of type object cannot be kept"):
        encoded(object())


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (timedelta(), "PT0S"),
        (timedelta(days=1, hours=2), "P1DT2H"),
        (timedelta(seconds=-0.5), "-PT0.5S"),
        (timedelta(hours=838, minutes=59, seconds=59), "P34DT22H59M59S"),
        (timedelta(microseconds=1), "PT0.000001S"),
    ],
)
def test_durations_are_iso_8601(value: timedelta, text: str) -> None:
    assert duration(value) == text


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_number_of_32_bits_keeps_its_value(value: float) -> None:
    assert float(_text(single_number(repr(value)))) == pytest.approx(value, rel=1e-7)


def _text(fragment: object) -> str:
    return orjson.dumps(fragment).decode()


@pytest.mark.parametrize(
    ("kind", "text", "literal"),
    [
        (FIELD_TYPE.NEWDECIMAL, "12345678901234567890.10", "12345678901234567890.10"),
        (FIELD_TYPE.DOUBLE, "0.1", "0.1e0"),
        (FIELD_TYPE.FLOAT, "1e300", "1e300"),
    ],
)
def test_numbers_of_mysql_are_compared_as_numbers(kind: int, text: str, literal: str) -> None:
    """MySQL, of which there is no server here, compares a decimal with a text as floats: MariaDB does not."""
    flavour = MySql(SqlSourceConfig(name="sql", stream="t", url="mysql://host/db"))
    assert str(flavour.bound(Column("a", kind), text)) == literal
    with pytest.raises(ValueError, match="could not convert"):
        flavour.bound(Column("a", kind), "1; DROP TABLE t")
