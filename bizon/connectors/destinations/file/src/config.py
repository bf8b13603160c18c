"""Configuration of the ``file`` destination."""

import os
from collections.abc import Sequence
from enum import StrEnum
from typing import Literal

from pydantic import Field, field_validator, model_validator

from bizon.destination import column_types as kit
from bizon.destination.config import (
    AbstractDestinationConfig,
    DestinationColumn,
    DestinationTypes,
    RecordSchemaConfig,
)
from bizon.destination.typed_config import InferringDetailsConfig


class FileFormat(StrEnum):
    """How rows are written."""

    JSON = "json"
    PARQUET = "parquet"
    CSV = "csv"


class ColumnType(StrEnum):
    """Type of a declared column."""

    STRING = "string"
    INTEGER = "integer"
    FLOAT = "float"
    BOOLEAN = "boolean"
    DATE = "date"
    DATETIME = "datetime"
    JSON = "json"


_ALIASES = {
    "str": ColumnType.STRING,
    "int": ColumnType.INTEGER,
    "int64": ColumnType.INTEGER,
    "float64": ColumnType.FLOAT,
    "number": ColumnType.FLOAT,
    "bool": ColumnType.BOOLEAN,
    "timestamp": ColumnType.DATETIME,
}


def column_type(name: str) -> ColumnType:
    """The type that a name in ``record_schema`` stands for, in any case. Raises ValueError, which lists the names."""
    lowered = name.strip().lower()
    if lowered in _ALIASES:
        return _ALIASES[lowered]
    try:
        return ColumnType(lowered)
    except ValueError:
        known = ", ".join([*ColumnType, *_ALIASES])
        raise ValueError(f"unknown column type '{name}'; known: {known}") from None


def declared_type(name: str) -> kit.ColumnType:
    """The type of the kit that a name in ``record_schema`` stands for."""
    return kit.column_type(column_type(name).value)


def path_stem(destination_id: str, format: FileFormat) -> str:
    """``destination_id`` without the extension of ``format``: ``out`` and ``out.json`` are the same file."""
    return destination_id.removesuffix(f".{format}")


def check_stem(destination_id: str) -> str:
    """``destination_id``, if it can name a file. Raises ValueError."""
    if not destination_id or "\0" in destination_id or destination_id.endswith(("/", "/.", "/..")):
        raise ValueError(f"destination_id {destination_id!r} does not name a file")
    return destination_id


class FileRecordSchemaConfig(RecordSchemaConfig):
    """The columns of one file; ``type`` is one of string, integer, float, boolean, date, datetime, json."""

    @field_validator("record_schema")
    @classmethod
    def _columns_are_known(cls, columns: list[DestinationColumn]) -> list[DestinationColumn]:
        seen = set()
        for column in columns:
            try:
                column_type(column.type)
            except ValueError as error:
                raise ValueError(f"column '{column.name}': {error}") from None
            if column.name in seen:
                raise ValueError(f"column '{column.name}' is listed twice")
            seen.add(column.name)
        return columns


class FileDestinationDetailsConfig(InferringDetailsConfig):
    """Settings of the ``file`` destination. ``destination_id`` is the path without the extension."""

    format: FileFormat = Field(
        default=FileFormat.JSON, description="json = one JSON object per line (NDJSON) | parquet | csv."
    )
    record_schemas: Sequence[FileRecordSchemaConfig] | None = Field(
        default=None,
        description="Columns per file, for `unnest`: the only ones, unless `schema_mode` is set. Without it they are "
        "inferred.",
    )

    def places(self, usual: str) -> dict[str, str]:
        """The file."""
        stem = path_stem(self.destination_id or usual, self.format)
        return {"destination_id": f"file {os.path.abspath(stem)}.{self.format}"}

    @field_validator("destination_id")
    @classmethod
    def _names_a_file(cls, value: str | None) -> str | None:
        return None if value is None else check_stem(value)

    @model_validator(mode="after")
    def _lines_are_not_empty(self) -> "FileDestinationDetailsConfig":
        is_closed = self.format is FileFormat.CSV and self.unnest and not self.infers
        if is_closed and any(len(schema.record_schema) == 1 for schema in self.record_schemas or ()):
            raise ValueError("a null in a CSV file of one column is an empty line, which readers skip: declare another")
        return self

    @model_validator(mode="after")
    def _one_schema_per_file(self) -> "FileDestinationDetailsConfig":
        stems = [path_stem(schema.destination_id, self.format) for schema in self.record_schemas or ()]
        twice = next((stem for stem in stems if stems.count(stem) > 1), None)
        if twice is not None:
            raise ValueError(f"`record_schemas` has more than one entry for destination_id '{twice}'")
        return self


class FileDestinationConfig(AbstractDestinationConfig):
    """``destination: {name: file}``: rows are staged in the same folder, then published to a file."""

    name: Literal[DestinationTypes.FILE] = Field(description="file")
    alias: str = Field(default="file", description="Name shown in logs and metrics.")
    config: FileDestinationDetailsConfig = Field(
        default_factory=FileDestinationDetailsConfig, description="Settings; all have defaults."
    )
