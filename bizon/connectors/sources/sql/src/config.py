"""Configuration of the ``sql`` source."""

import re
from enum import StrEnum
from typing import Annotated

from pydantic import Field, ValidationInfo, WithJsonSchema, field_validator

from bizon.common.secret import SecretText, registry
from bizon.config.strict import MOST_SECONDS
from bizon.source.config import SourceConfig, SourceSyncModes

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd])?")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, None: 1}
_EXTRAS = {"postgresql": "postgres", "postgres": "postgres", "mysql": "mysql", "mariadb": "mysql", "duckdb": "duckdb"}


class NullCursor(StrEnum):
    """The way with records whose cursor field is null."""

    INCLUDE = "include"
    EXCLUDE = "exclude"
    FAIL = "fail"


class SqlSourceConfig(SourceConfig):
    """``source: {name: sql}``: a table, a view or a query of any database that SQLAlchemy knows."""

    cursor_field: str | None = Field(
        default=None,
        validate_default=True,
        description="Column by which an incremental run finds what changed, for example updated_at; required for "
        "sync_mode incremental. Put an index on it.",
    )
    url: SecretText = Field(
        min_length=1,
        description="Address of the database, as SQLAlchemy writes it: `postgresql://user:password@host:5432/name`, "
        "`mysql://...`, `mariadb://...`, `sqlite:///file.db`, `duckdb:///file.duckdb`. Percent-encode special "
        "characters of user and password.",
    )
    queries: dict[str, str] = Field(
        default={}, description="Streams that are queries: name -> one SELECT statement. A query hides a table."
    )
    columns: tuple[str, ...] = Field(default=("*",), description='Columns to read; ["*"] = all of them.')
    where: str | None = Field(
        default=None, min_length=1, description="Condition in the SQL of the database; records it refuses are not read."
    )
    primary_key: tuple[str, ...] = Field(
        default=(),
        description="Columns that together identify a record, none of them null; default the table's own primary key. "
        "Pages are ordered by them. Without a key the stream is read by one cursor, and cannot be resumed.",
    )
    page_size: int = Field(
        default=10_000,
        ge=1,
        le=1_000_000,
        description="Records per page. Two pages may be in memory, as text and as JSON: the default bounds that.",
    )
    partitions: int = Field(
        default=8,
        ge=1,
        le=1000,
        description="Ranges of the key that a stream is planned in when "
        "`engine.runner.config.max_parallel_partitions` is above 1; each has a page at least.",
    )
    null_cursor: NullCursor = Field(
        default=NullCursor.INCLUDE,
        description="In sync_mode incremental, records whose cursor_field is null: include = read in every run, since "
        "nothing tells when they changed | exclude = never read | fail = the run ends with an error.",
    )
    lookback: Annotated[
        float, WithJsonSchema({"title": "duration", "anyOf": [{"type": "string"}, {"type": "number"}]})
    ] = Field(
        default=0,
        ge=0,
        le=MOST_SECONDS,
        description="How far an incremental run overlaps the last one, for records that become visible late: a number "
        "with s, m, h or d (`2m`), or seconds. For a cursor_field that is a number, the difference to it. "
        "Records in the overlap are delivered again.",
    )
    statement_timeout: float | None = Field(
        default=None,
        gt=0,
        le=MOST_SECONDS,
        description="Seconds that one statement may take, in PostgreSQL, MariaDB and MySQL; null = what the server "
        "allows.",
    )

    @property
    def extra(self) -> str | None:
        return _EXTRAS.get(self.scheme)

    @property
    def scheme(self) -> str:
        """The kind of database, as the address begins: ``postgresql`` of ``postgresql+psycopg://``."""
        return self.url.partition(":")[0].partition("+")[0].lower()

    @property
    def states_a_secret(self) -> bool:
        """Whether a statement of the configuration holds a value that must not be shown."""
        texts = [*self.queries.values(), self.where or ""]
        return any(value in text for value in registry.values() for text in texts)

    @property
    def overlap(self) -> float:
        """The lookback: seconds, or units of a cursor that is a number."""
        return self.lookback or self.incremental_lookback

    @field_validator("cursor_field")
    @classmethod
    def _increments_need_it(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None and info.data.get("sync_mode") is SourceSyncModes.INCREMENTAL:
            raise ValueError("sync_mode incremental needs it: name the column that tells when a record changed")
        return value

    @field_validator("queries")
    @classmethod
    def _are_statements(cls, value: dict[str, str]) -> dict[str, str]:
        for name, query in value.items():
            if (
                re.match(r"(?i)\s*(--[^\n]*\n\s*|/\*.*?\*/\s*)*(select|with|values|from|table)\b", query, re.DOTALL)
                is None
            ):
                raise ValueError(f"'{name}' must be a query, which begins with SELECT or WITH")
        return {name: query.strip().rstrip(";") for name, query in value.items()}

    @field_validator("columns", "primary_key")
    @classmethod
    def _each_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        twice = next((name for name in value if value.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"column '{twice}' is listed twice")
        return value

    @field_validator("columns")
    @classmethod
    def _all_or_some(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value:
            raise ValueError('needs at least one column; ["*"] = all of them')
        if "*" in value and len(value) > 1:
            raise ValueError('"*" already means all columns: leave the others out')
        return value

    @field_validator("lookback", mode="before")
    @classmethod
    def _in_seconds(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        found = _DURATION.fullmatch(value.strip())
        if found is None:
            raise ValueError("must be a number with s, m, h or d, for example 2m")
        return float(found[1]) * _SECONDS[found[2]]
