"""The Kafka source with a SIGKILL inside. ``KILL_AT="commit 2"`` kills it before the second commit, between a
checkpoint and its offsets; ``KILL_AT="get 3"`` once the third page has been read, before it is written."""

import os
import signal
from typing import Any

from bizon.connectors.sources.kafka.src.source import KafkaSource
from bizon.source.models import SourceIteration


class KilledSource(KafkaSource):
    counts = {"get": 0, "commit": 0}

    def get(self, pagination: dict[str, Any] | None = None) -> SourceIteration:
        page = super().get(pagination)
        if page.records != []:
            self._count("get")
        return page

    def commit(self) -> None:
        self._count("commit")
        super().commit()

    def _count(self, what: str) -> None:
        self.counts[what] += 1
        if os.environ.get("KILL_AT") == f"{what} {self.counts[what]}":
            os.kill(os.getpid(), signal.SIGKILL)
