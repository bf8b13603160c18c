"""Mistakes in ``destination.config`` are found before a run."""

import pytest
from pydantic import ValidationError

from bizon.connectors.destinations.file.src.config import (
    ColumnType,
    FileDestinationDetailsConfig,
    column_type,
    path_stem,
)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("string", "STRING", "str", " String "), ColumnType.STRING),
        (("integer", "int", "INT64"), ColumnType.INTEGER),
        (("float", "Float64", "number"), ColumnType.FLOAT),
        (("boolean", "BOOL"), ColumnType.BOOLEAN),
        (("date",), ColumnType.DATE),
        (("datetime", "TIMESTAMP"), ColumnType.DATETIME),
        (("json", "JSON"), ColumnType.JSON),
    ],
)
def test_type_names_are_accepted_in_any_case(names: tuple[str, ...], expected: ColumnType) -> None:
    assert {column_type(name) for name in names} == {expected}


def details(*schemas: tuple[str, list[tuple[str, str]]], **keys: object) -> FileDestinationDetailsConfig:
    record_schemas = [
        {"destination_id": table, "record_schema": [{"name": name, "type": kind} for name, kind in columns]}
        for table, columns in schemas
    ]
    return FileDestinationDetailsConfig.model_validate({"record_schemas": record_schemas or None, **keys})


def test_an_unknown_type_is_refused_with_the_column_and_the_known_names() -> None:
    with pytest.raises(ValidationError, match=r"column 'b': unknown column type 'strnig'; known: string, integer, "):
        details(("out", [("a", "string"), ("b", "strnig")]))


def test_a_column_listed_twice_is_refused() -> None:
    with pytest.raises(ValidationError, match="column 'a' is listed twice"):
        details(("out", [("a", "string"), ("a", "integer")]))


def test_two_schemas_of_one_file_are_refused() -> None:
    with pytest.raises(ValidationError, match="more than one entry for destination_id 'out'"):
        details(("out", [("a", "string")]), ("out.json", [("a", "string")]))


def test_without_a_schema_unnest_infers_the_columns() -> None:
    assert details(unnest=True).infers
    assert details(("out", [("a", "string")]), unnest=True, schema_mode="freeze").infers
    assert not details(("out", [("a", "string")]), unnest=True).infers
    assert not details().infers


@pytest.mark.parametrize("key", [{"schema_mode": "evolve"}, {"flatten": 1}, {"naming": "snake_case"}])
def test_keys_of_inferred_columns_are_refused_without_them(key: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=f"`{next(iter(key))}` is for inferred columns"):
        details(**key)


def test_a_csv_file_of_one_declared_column_is_refused() -> None:
    with pytest.raises(ValidationError, match="a null in a CSV file of one column is an empty line"):
        details(("out", [("a", "string")]), unnest=True, format="csv")


@pytest.mark.parametrize("destination_id", ["", "folder/", "folder/..", "nul\0"])
def test_a_destination_id_that_names_no_file_is_refused(destination_id: str) -> None:
    with pytest.raises(ValidationError):
        details(destination_id=destination_id)


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(ValidationError, match="json"):
        details(format="xml")


def test_the_stem_is_the_id_without_the_extension_of_its_format() -> None:
    config = details(format="parquet")
    assert path_stem("a/out.parquet", config.format) == "a/out"
    assert path_stem("a/out.json", config.format) == "a/out.json"
