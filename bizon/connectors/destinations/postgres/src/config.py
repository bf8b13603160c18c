"""Configuration of the ``postgres`` destination."""

from collections.abc import Sequence
from typing import Literal

from pydantic import Field, field_validator

from bizon.common.secret import SecretText
from bizon.config.strict import MOST_SECONDS
from bizon.destination.config import AbstractDestinationConfig, DestinationTypes
from bizon.destination.typed_config import TypedRecordSchemaConfig, TypedTableDetailsConfig, check_decimals

LONGEST_NAME = 63  # bytes; Postgres cuts off the rest of a longer one without an error
_WIDEST_NUMERIC = 1000  # digits


def checked_name(value: str) -> str:
    """The name of a table or a schema. Raises ValueError for one that Postgres would change or refuse."""
    if len(value.encode()) > LONGEST_NAME:
        raise ValueError(f"has more than {LONGEST_NAME} bytes, which is the longest name in Postgres")
    if "\0" in value:
        raise ValueError("has NUL in it, which no name in Postgres may have")
    return value


class PostgresDetailsConfig(TypedTableDetailsConfig):
    """Settings of the ``postgres`` destination."""

    host: str = Field(min_length=1, description="Host name or address of the server, or the folder of its Unix socket.")
    port: int = Field(default=5432, ge=1, le=65535, description="Port of the server.")
    database: str = Field(min_length=1, description="Database of the tables; it must exist.")
    username: str = Field(min_length=1, description="Role to log in as.")
    password: SecretText = Field(
        default="",
        description="Password of the role, any characters. Empty when the server needs none, or it is in `~/.pgpass`.",
    )
    schema_name: str = Field(
        default="public",
        min_length=1,
        alias="schema",
        description="Schema of the tables; it is created if it is missing.",
    )
    sslmode: Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] | None = Field(
        default=None,
        description="Whether the connection is encrypted and the server's certificate checked, as in libpq; default "
        "`prefer`.",
    )
    sslrootcert: str | None = Field(
        default=None,
        min_length=1,
        description="File with the certificates of authorities, for `sslmode: verify-ca` and `verify-full`; `system` = "
        "the ones of the machine.",
    )
    sslcert: str | None = Field(default=None, min_length=1, description="File with the certificate of the client.")
    sslkey: str | None = Field(default=None, min_length=1, description="File with the key of the client.")
    connect_timeout: int = Field(default=10, ge=1, le=MOST_SECONDS, description="Seconds to wait for a connection.")
    lock_timeout: int = Field(
        default=30, ge=1, le=MOST_SECONDS, description="Seconds to wait for a table or row that another session locks."
    )
    statement_timeout: int = Field(
        default=3600, ge=1, le=MOST_SECONDS, description="Seconds that one statement may take, such as publishing."
    )
    idle_timeout: int = Field(
        default=60,
        ge=1,
        le=MOST_SECONDS,
        description="Seconds after which the server gives up the transaction, and the locks, of a run that is frozen.",
    )

    def places(self, usual: str) -> dict[str, str]:
        """The table."""
        table = f"{self.schema_name}.{self.destination_id or usual}"
        return {"destination_id": f"table {table} of database {self.database} on {self.host}:{self.port}"}

    @field_validator("destination_id", "schema_name")
    @classmethod
    def _is_a_name(cls, value: str | None) -> str | None:
        return None if value is None else checked_name(value)

    @field_validator("record_schemas")
    @classmethod
    def _decimals_are_possible(
        cls, value: Sequence[TypedRecordSchemaConfig] | None
    ) -> Sequence[TypedRecordSchemaConfig] | None:
        check_decimals(value, _WIDEST_NUMERIC, f"a declared decimal has at most {_WIDEST_NUMERIC} digits in Postgres")
        return value


class PostgresConfig(AbstractDestinationConfig):
    """``destination: {name: postgres}``: tables of a PostgreSQL database."""

    name: Literal[DestinationTypes.POSTGRES] = Field(description="postgres")
    alias: str = Field(default="postgres", description="Name shown in logs and metrics.")
    config: PostgresDetailsConfig = Field(description="Settings.")
