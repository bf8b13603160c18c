"""The ``csv_file`` source: the rows of a CSV file with a header."""

import csv
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import Field
from requests.auth import AuthBase

from bizon.source.config import SourceConfig
from bizon.source.models import SourceIteration, SourceRecord
from bizon.source.source import AbstractSource


class CsvConfig(SourceConfig):
    """The ``source`` block: a file, and how much to read at once."""

    path: str = Field(description="CSV file in UTF-8, with a header.")
    page_size: int = Field(default=1000, ge=1, description="Rows per page.")


class CsvSource(AbstractSource):
    """Each page reads the file from its beginning, which suits a file of some thousand rows."""

    fetches_over_http = False
    config: CsvConfig

    @staticmethod
    def streams() -> list[str]:
        return ["rows"]

    @staticmethod
    def get_config_class() -> type[SourceConfig]:
        return CsvConfig

    def get_authenticator(self) -> AuthBase | None:
        return None

    def check_connection(self) -> tuple[bool, str | None]:
        if not Path(self.config.path).is_file():
            return False, f"there is no file {self.config.path}"
        return True, None

    def get(self, pagination: dict[str, Any] | None = None) -> SourceIteration:
        start = pagination["row"] if pagination else 0
        end = start + self.config.page_size
        with open(self.config.path, newline="", encoding="utf-8") as file:
            rows = list(islice(csv.DictReader(file), start, end))
        records = [SourceRecord(id=number, data=row) for number, row in enumerate(rows, start)]
        return SourceIteration(records=records, next_pagination={"row": end} if rows else {})
