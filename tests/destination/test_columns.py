"""The names of types and of columns."""

import polars as pl
import pytest

from bizon.connectors.destinations.bigquery.src.column_config import ColumnType as BigQueryType
from bizon.connectors.destinations.file.src.config import ColumnType as FileType
from bizon.destination.column_names import NameRefusedError, NameRules
from bizon.destination.column_types import INT64, TEXT, column_type, decimal, holds
from bizon.destination.columns import frame_type

ONE_ENGINE_ONLY = {"RECORD", "GEOGRAPHY"}


@pytest.mark.parametrize("name", [*(kind.value for kind in FileType), *(kind.value for kind in BigQueryType)])
def test_the_types_of_record_schemas_are_known(name: str) -> None:
    if name in ONE_ENGINE_ONLY:
        with pytest.raises(ValueError, match="is not a column type: "):
            column_type(name)
    else:
        assert column_type(str(column_type(name))) == column_type(name) == column_type(name.lower())


def test_a_decimal_has_precision_and_scale() -> None:
    assert column_type("Decimal(10, 2)") == decimal(10, 2)
    assert frame_type(column_type("numeric(10)")) == pl.Decimal(10, 0)
    assert frame_type(column_type("bignumeric")) == pl.String()
    with pytest.raises(ValueError, match=r"decimal\(2, 3\): the scale is from 0 to the precision"):
        column_type("decimal(2, 3)")


def test_a_column_is_wider_when_it_holds_every_value_of_the_other() -> None:
    assert holds(decimal(19), INT64)
    assert holds(decimal(12, 3), decimal(11, 2))
    assert not holds(decimal(20, 2), INT64)
    assert not holds(decimal(12, 3), decimal(12, 2))
    assert not holds(TEXT, INT64)


def test_a_name_is_kept_as_it_is() -> None:
    assert NameRules().name(('a "b".c ',)) == 'a "b".c '
    assert NameRules().name(("a", "b")) == "a_b"


@pytest.mark.parametrize(("unit", "expected"), [("bytes", 62), ("characters", 63)])
def test_a_long_name_ends_with_a_hash_of_all_of_it(unit: str, expected: int) -> None:
    rules = NameRules(longest=63, unit=unit)  # type: ignore[arg-type]
    first, second = rules.name(("é" * 100,)), rules.name(("é" * 99 + "x",))
    assert first != second
    assert (len(first.encode()) if unit == "bytes" else len(first)) in (expected, expected + 1)
    assert rules.name(("é" * 100,)) == first
    assert rules.name(("x" * 63,)) == "x" * 63


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("orderID", "order_id"),
        ("HTTPServer", "http_server"),
        ("First Name", "first_name"),
        ("2nd", "_2nd"),
        ("_id", "_id"),
        ("é-ü", "é_ü"),
    ],
)
def test_a_name_in_snake_case(key: str, name: str) -> None:
    assert NameRules(snake_case=True).name((key,)) == name


@pytest.mark.parametrize(
    "path", [("",), ("a", ""), ("_bizon_id",), ("_SOURCE_data",), ("_source", "x"), ("a\0",), ("\ud800",)]
)
def test_a_key_that_cannot_name_a_column_is_refused(path: tuple[str, ...]) -> None:
    with pytest.raises(NameRefusedError):
        NameRules().name(path)


def test_a_key_without_letters_has_no_name_in_snake_case() -> None:
    with pytest.raises(NameRefusedError, match="empty"):
        NameRules(snake_case=True).name(("--",))


def test_the_key_of_a_name_is_known_when_no_other_key_has_it() -> None:
    shortened = NameRules(longest=20).name(("a long name of a column",))
    assert NameRules(longest=20).key("a") == "a"
    assert NameRules(longest=20).key(shortened) is None
    assert NameRules(snake_case=True).key("a") is None
    assert NameRules().key("a_b") == "a_b"
    assert NameRules().key("a_b", flatten=1) is None


def test_a_limit_must_leave_room_for_a_hash() -> None:
    with pytest.raises(ValueError, match="too short"):
        NameRules(longest=10)
