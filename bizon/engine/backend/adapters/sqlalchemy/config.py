"""Configuration of the SQL backends."""

import re
from typing import Literal

from pydantic import Field, field_validator

from bizon.common.secret import SecretText
from bizon.engine.backend.config import AbstractBackendConfig, AbstractBackendConfigDetails, BackendTypes

_LIKE_A_URL = re.compile(r"^(?:file:|[A-Za-z][\w+.-]*://)|\?\w+=")
_LONGEST_IDENTIFIER = 63  # bytes; Postgres silently truncates longer names


class SQLiteConfigDetails(AbstractBackendConfigDetails):
    """``engine.backend.config`` for SQLite, which accepts ``schema`` and ignores it."""

    database: str = Field(
        default="bizon", min_length=1, description="State file without `.sqlite3`; relative to the working directory."
    )

    @field_validator("database")
    @classmethod
    def _is_a_path(cls, value: str) -> str:
        if _LIKE_A_URL.search(value):
            raise ValueError(
                "is a path, not a URL: remove the scheme before the file's name, and the options after `?`"
            )
        return value


class SQLiteSQLAlchemyConfig(AbstractBackendConfig):
    """``engine.backend: {type: sqlite}``: state in a file."""

    type: Literal[BackendTypes.SQLITE] = Field(description="sqlite")
    config: SQLiteConfigDetails = Field(default_factory=SQLiteConfigDetails, description="Settings; all have defaults.")


class SQLiteInMemoryConfig(AbstractBackendConfig):
    """``engine.backend: {type: sqlite_in_memory}``: state lives and dies with the run."""

    type: Literal[BackendTypes.SQLITE_IN_MEMORY] = Field(description="sqlite_in_memory")
    config: SQLiteConfigDetails = Field(default_factory=SQLiteConfigDetails, description="Settings; all have defaults.")


class PostgresConfigDetails(AbstractBackendConfigDetails):
    """``engine.backend.config`` for Postgres. ``schema`` holds the state tables, and is created when missing."""

    host: str = Field(min_length=1, description="Host name or address of the server, or the folder of its Unix socket.")
    port: int = Field(default=5432, ge=1, le=65535, description="Port of the server.")
    username: str = Field(min_length=1, description="Role to log in as.")
    password: SecretText = Field(
        description="Password of the role, any characters. Empty when the server needs none, or it is in `~/.pgpass`."
    )
    sslmode: Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] | None = Field(
        default=None,
        description="Whether the connection is encrypted and the server's certificate checked, as in libpq, which also "
        "says where certificates are looked for; default `prefer`.",
    )

    @field_validator("schema_name")
    @classmethod
    def _fits_postgres(cls, value: str) -> str:
        if len(value.encode()) > _LONGEST_IDENTIFIER:
            raise ValueError(f"must have at most {_LONGEST_IDENTIFIER} bytes, which is the longest name in Postgres")
        return value


class PostgresSQLAlchemyConfig(AbstractBackendConfig):
    """``engine.backend: {type: postgres}``: state in a schema of a Postgres database."""

    type: Literal[BackendTypes.POSTGRES] = Field(description="postgres")
    config: PostgresConfigDetails = Field(description="The server, and the role that logs in.")


class BigQueryConfigDetails(AbstractBackendConfigDetails):
    """``engine.backend.config`` for BigQuery: ``database`` is the project, ``schema`` the dataset. Each statement is a
    job of a second or two, and a checkpoint takes several: for pipelines that have nothing but BigQuery."""

    schema_name: str = Field(min_length=1, alias="schema", description="Dataset of the state tables.")
    service_account_key: SecretText = Field(
        default="",
        description="Key of a service account, the JSON itself; it stays in memory. Empty = the credentials of the "
        "machine.",
    )
    create_schema: bool = Field(default=False, description="Create the dataset when it is missing.")
    schema_location: str | None = Field(
        default=None,
        min_length=1,
        description="Location of the dataset, such as `EU`; BigQuery's default is `US`.",
    )
    api_endpoint: str | None = Field(
        default=None,
        pattern="^https?://",
        description="A server that replaces BigQuery's; no credentials are sent.",
    )


class BigQuerySQLAlchemyConfig(AbstractBackendConfig):
    """``engine.backend: {type: bigquery}``: state in a dataset of BigQuery."""

    type: Literal[BackendTypes.BIGQUERY] = Field(description="bigquery")
    config: BigQueryConfigDetails = Field(description="Project and dataset.")
