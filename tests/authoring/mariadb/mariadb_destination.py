"""The ``mariadb`` destination: rows in a table of a MariaDB database."""

from typing import Any

import polars as pl
import pymysql
from pydantic import Field

from bizon.common.errors.errors import RowsRejectedError
from bizon.common.secret import SecretText
from bizon.destination.config import JsonRowsDetailsConfig
from bizon.destination.sql_table import SqlTableDestination
from bizon.destination.sql_target import MARIADB

# changed since it was read, too many connections, shutting down, lock wait, deadlock, killed, timed out;
# no server, gone, lost
TRANSIENT = {1020, 1040, 1053, 1205, 1213, 1927, 1969, 2002, 2003, 2006, 2013, 4031}


class MariadbDestinationConfig(JsonRowsDetailsConfig):
    """The ``config`` of the destination: a database of a MariaDB server."""

    host: str = Field(min_length=1, description="Host name or address of the server.")
    port: int = Field(default=3306, ge=1, le=65535, description="TCP port of the server.")
    user: str = Field(min_length=1, description="Name of the account.")
    password: SecretText = Field(description="Password of the account; may be empty.")
    database: str = Field(min_length=1, description="Database of the table; it must exist.")
    tls: bool = Field(default=True, description="Encrypt the connection if the server can.")
    timeout: int = Field(default=60, ge=1, description="Seconds that a statement may take.")
    largest_record: int = Field(
        default=8_000_000,
        ge=1,
        description="Bytes; a larger record is refused. Less than half of the server's max_allowed_packet.",
    )
    idle_timeout: int = Field(
        default=20,
        ge=1,
        description="Seconds after which the server gives up the transaction, and the locks, of a frozen run.",
    )


class MariadbDestination(SqlTableDestination):
    """Writes a table of a MariaDB database, exactly once in every sync mode."""

    config: MariadbDestinationConfig
    driver = pymysql
    dialect = MARIADB
    single_writer = False

    @staticmethod
    def get_config_class() -> type[MariadbDestinationConfig]:
        return MariadbDestinationConfig

    @property
    def place(self) -> str:
        config = self.config
        return f"mariadb://{config.host}:{config.port}/{config.database}"

    def connect(self) -> Any:
        config = self.config
        return pymysql.connect(
            host=config.host,
            port=config.port,
            user=config.user,
            password=str(config.password).encode(),  # a text would have to be Latin-1
            database=config.database,
            charset="utf8mb4",
            ssl_disabled=not config.tls,
            connect_timeout=10,
            read_timeout=config.timeout,
            write_timeout=config.timeout,
            init_command=self._settings,
        )

    @property
    def _settings(self) -> str:
        wait = self.config.idle_timeout + 10  # longer than a frozen run holds its locks
        settings = {
            "default_storage_engine": "InnoDB",
            "sql_mode": "'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'",
            "tx_isolation": "'READ-COMMITTED'",
            "idle_transaction_timeout": self.config.idle_timeout,
            "innodb_lock_wait_timeout": wait,
            "lock_wait_timeout": wait,
        }
        return "SET SESSION " + ", ".join(f"{name} = {value}" for name, value in settings.items())

    def write_records(self, df_destination_records: pl.DataFrame) -> tuple[bool, str | None]:
        length = pl.col("source_data").str.len_bytes()
        rows = enumerate(df_destination_records.select("source_record_id", length).rows())
        largest = self.config.largest_record
        refused = {n: f"record '{id_}' has {size:,} bytes" for n, (id_, size) in rows if size > largest}
        if refused:
            raise RowsRejectedError(refused)
        return super().write_records(df_destination_records)

    def is_transient(self, error: Exception) -> bool:
        if isinstance(error, pymysql.InterfaceError):  # the connection was closed
            return True
        return isinstance(error, pymysql.OperationalError) and error.args[0] in TRANSIENT
