"""A source of made-up records, page by page; the public bizon runs it too."""

from typing import Any

from bench_records import ground, large_record, record

from bizon.source.config import SourceConfig
from bizon.source.models import SourceIteration, SourceRecord
from bizon.source.source import AbstractSource


class BenchConfig(SourceConfig):
    total: int = 1000
    page: int = 1000
    kilobytes: int = 0  # size of a record; 0 = the small one
    one_by_one: bool = False  # a generator instead of a list
    rounds: int = 0  # work for the processor before each record


class BenchSource(AbstractSource):
    config: BenchConfig

    @staticmethod
    def streams() -> list[str]:
        return ["records"]

    @staticmethod
    def get_config_class() -> type[SourceConfig]:
        return BenchConfig

    def get_authenticator(self) -> None:
        return None

    def check_connection(self) -> tuple[bool, Any | None]:
        return True, None

    def get_total_records_count(self) -> int:
        return self.config.total

    def get(self, pagination: dict[str, Any] | None = None) -> SourceIteration:
        first = pagination["next"] if pagination else 0
        last = min(first + self.config.page, self.config.total)
        records: Any
        if self.config.one_by_one:
            records = (SourceRecord(id=str(n), data=self._data(n)) for n in range(first, last))
        else:
            records = [SourceRecord(id=str(n), data=self._data(n)) for n in range(first, last)]
        return SourceIteration(records=records, next_pagination={"next": last} if last < self.config.total else {})

    def _data(self, n: int) -> dict[str, Any]:
        if self.config.rounds:
            ground(n, self.config.rounds)
        return large_record(n, self.config.kilobytes) if self.config.kilobytes else record(n)
