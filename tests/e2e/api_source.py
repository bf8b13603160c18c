"""A custom source that asks one URL over HTTP, for tests of what a user reads when that fails."""

from typing import Any

from pydantic import Field

from bizon.source.config import SourceConfig
from bizon.source.models import SourceIteration, SourceRecord
from bizon.source.source import AbstractSource


class ApiConfig(SourceConfig):
    url: str = Field(description="Where the records are.")


class ApiSource(AbstractSource):
    @staticmethod
    def streams() -> list[str]:
        return ["things"]

    @staticmethod
    def get_config_class() -> type[SourceConfig]:
        return ApiConfig

    def get_authenticator(self) -> None:
        return None

    def check_connection(self) -> tuple[bool, str | None]:
        return True, None

    def get_total_records_count(self) -> int | None:
        return None

    def get(self, pagination: dict[str, Any] | None = None) -> SourceIteration:
        body = self.session.get(self.config.url, params=pagination or {}).json()
        records = [SourceRecord(id=str(each["id"]), data=each) for each in body["records"]]
        return SourceIteration(records=records, next_pagination=body.get("next", {}))
