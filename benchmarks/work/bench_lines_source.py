"""A source that has the made-up records as text already, and returns whole pages."""

from typing import Any

import orjson
from bench_records import record
from bench_source import BenchSource

from bizon.source.models import JsonLines, SourceIteration


class BenchLinesSource(BenchSource):
    def get(self, pagination: dict[str, Any] | None = None) -> SourceIteration:
        first = pagination["next"] if pagination else 0
        last = min(first + self.config.page, self.config.total)
        numbers = range(first, last)
        lines = JsonLines([orjson.dumps(record(n)) for n in numbers], ids=[str(n) for n in numbers])
        return SourceIteration(records=lines, next_pagination={"next": last} if last < self.config.total else {})
