"""Reads pages from the slow server of the benchmark, one request after the other."""

from typing import Any

from bizon.source.config import SourceConfig
from bizon.source.models import SourceIteration, SourceRecord
from bizon.source.source import AbstractSource


class HttpConfig(SourceConfig):
    url: str


class HttpSource(AbstractSource):
    config: HttpConfig

    @staticmethod
    def streams() -> list[str]:
        return ["records", *(f"stream_{number}" for number in range(20))]

    @staticmethod
    def get_config_class() -> type[SourceConfig]:
        return HttpConfig

    def get_authenticator(self) -> None:
        return None

    def check_connection(self) -> tuple[bool, Any | None]:
        return True, None

    def get_total_records_count(self) -> int | None:
        return None

    def get(self, pagination: dict[str, Any] | None = None) -> SourceIteration:
        answer = self.session.get(f"{self.config.url}/{pagination['page'] if pagination else 0}").json()
        records = [SourceRecord(id=item["id"], data=item) for item in answer["items"]]
        return SourceIteration(records=records, next_pagination={"page": answer["next"]} if answer["next"] else {})
