"""A destination like an HTTP endpoint: it takes rows, and cannot replace what it has taken."""

from pathlib import Path

import polars as pl
from pydantic import Field

from bizon.common.errors.errors import ConfigError
from bizon.destination.config import JsonRowsDetailsConfig
from bizon.destination.destination import AbstractDestination
from bizon.destination.models import WriteMode


class AppendOnlyConfig(JsonRowsDetailsConfig):
    place: str = Field(description="File that gets a line per record: the id in the source and the one of bizon.")


class AppendOnly(AbstractDestination):
    @staticmethod
    def get_config_class() -> type[AppendOnlyConfig]:
        return AppendOnlyConfig

    def check_connection(self) -> bool:
        if self.sync_metadata.write_mode is WriteMode.REPLACE:
            raise ConfigError("append_only: rows cannot be replaced; run without --full-refresh")
        return True

    def write_records(self, df_destination_records: pl.DataFrame) -> tuple[bool, str | None]:
        with Path(self.config.place).open("a") as file:
            rows = df_destination_records.select("source_record_id", "bizon_id").iter_rows()
            file.writelines(f"{id_} {bizon_id}\n" for id_, bizon_id in rows)
        return True, None
