"""Configuration of the ``duckdb`` destination."""

import os
from collections.abc import Sequence
from typing import Literal

from pydantic import Field, field_validator

from bizon.config.strict import MOST_SECONDS
from bizon.destination.column_types import WIDEST_DECIMAL
from bizon.destination.config import AbstractDestinationConfig, DestinationTypes
from bizon.destination.typed_config import TypedRecordSchemaConfig, TypedTableDetailsConfig, check_decimals


class DuckdbDetailsConfig(TypedTableDetailsConfig):
    """Settings of the ``duckdb`` destination."""

    database: str = Field(
        min_length=1, description="Path of the database file; it and its folder are created if they are missing."
    )
    schema_name: str = Field(
        default="main",
        min_length=1,
        alias="schema",
        description="Schema of the tables; it is created if it is missing.",
    )
    lock_timeout: int = Field(
        default=30,
        ge=0,
        le=MOST_SECONDS,
        description="Seconds to wait while another process has the file open, before each batch.",
    )

    def places(self, usual: str) -> dict[str, str]:
        """The table; DuckDB ignores case in names."""
        table = f"{self.schema_name}.{self.destination_id or usual}".lower()
        return {"destination_id": f"table {table} of {os.path.abspath(self.database)}"}

    @field_validator("database")
    @classmethod
    def _is_a_file(cls, value: str) -> str:
        if value.startswith((":memory:", "md:", "motherduck:")):
            raise ValueError(
                "`database` is the path of a file: a database in memory ends with each batch, and MotherDuck is not "
                "supported"
            )
        return value

    @field_validator("record_schemas")
    @classmethod
    def _decimals_are_possible(
        cls, value: Sequence[TypedRecordSchemaConfig] | None
    ) -> Sequence[TypedRecordSchemaConfig] | None:
        check_decimals(value, WIDEST_DECIMAL, f"a decimal has at most {WIDEST_DECIMAL} digits in DuckDB; use text")
        return value


class DuckdbConfig(AbstractDestinationConfig):
    """``destination: {name: duckdb}``: tables of a DuckDB file."""

    name: Literal[DestinationTypes.DUCKDB] = Field(description="duckdb")
    alias: str = Field(default="duckdb", description="Name shown in logs and metrics.")
    config: DuckdbDetailsConfig = Field(description="Settings.")
