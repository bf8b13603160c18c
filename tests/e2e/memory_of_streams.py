"""Streams with large pages into a destination that takes nothing until everything that fits is waiting:
``python memory_of_streams.py STREAMS BUFFER_MB PAGE_MB``. Prints, in bytes, what the queues have held at most, what
they hold when every stream waits, and the peak of the memory before and after; then how many pages were asked for.
"""

import json
import resource
import sys
import threading
import time
from typing import Any

from bizon.destination.config import AbstractDestinationDetailsConfig
from bizon.destination.destination import AbstractDestination
from bizon.engine.engine import RunnerFactory
from bizon.engine.queue.adapters.python_queue.queue import PythonQueue
from bizon.engine.runner import writing
from bizon.source.config import SourceConfig
from bizon.source.models import SourceIteration, SourceRecord
from bizon.source.source import AbstractSource

MB = 1024 * 1024
STILL = 1.0  # seconds without a page after which every stream waits
COUNT, BUFFER, PAGE = (int(argument) for argument in sys.argv[1:4])
NAMES = [f"s{number}" for number in range(COUNT)]
QUEUES: list[PythonQueue] = []
TAKES = threading.Event()
ASKED: list[str] = []


class Large(AbstractSource):
    @staticmethod
    def streams() -> list[str]:
        return NAMES

    @staticmethod
    def get_config_class() -> type[SourceConfig]:
        return SourceConfig

    def get_authenticator(self) -> None:
        return None

    def check_connection(self) -> tuple[bool, None]:
        return True, None

    def get(self, pagination: dict[str, Any] | None = None) -> SourceIteration:
        page, pages = (pagination or {}).get("page", 0), 4 * BUFFER // PAGE
        ASKED.append(self.config.stream)
        records = [SourceRecord(id=each, data={"text": chr(97 + page % 26) * MB}) for each in range(PAGE)]
        return SourceIteration(records=records, next_pagination={"page": page + 1} if page + 1 < pages else {})


class Slow(AbstractDestination):
    def check_connection(self) -> bool:
        return True

    def write_records(self, _df_destination_records: Any) -> tuple[bool, str | None]:
        TAKES.wait()
        return True, None


def held() -> int:
    return sum(queue._held for queue in QUEUES)


def watch(most: list[int]) -> None:
    """Until every stream waits; then the destination takes everything."""
    seen, since = 0, time.monotonic()
    while time.monotonic() - since < STILL or len(set(ASKED)) < COUNT:
        most[0] = max(most[0], held())
        if len(ASKED) != seen:
            seen, since = len(ASKED), time.monotonic()
        time.sleep(0.002)
    most[1:] = [held(), len(ASKED)]
    TAKES.set()


def main() -> None:
    init = PythonQueue.__init__

    def noted(queue: PythonQueue, *args: Any, **keys: Any) -> None:
        init(queue, *args, **keys)
        QUEUES.append(queue)

    PythonQueue.__init__ = noted  # type: ignore[method-assign]
    writing.build_destination = lambda context, *parts: Slow(
        context.sync_metadata, AbstractDestinationDetailsConfig(destination_id="x"), *parts
    )
    most = [0, 0, 0]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    threading.Thread(target=watch, args=(most,), daemon=True).start()
    data = {
        "name": "large",
        "streams": NAMES,
        "destination": {"name": "logger", "config": {"buffer_size": BUFFER}},
        "engine": {
            "backend": {"type": "sqlite_in_memory"},
            "runner": {"config": {"max_parallel_streams": COUNT}},
        },
    }
    status = RunnerFactory.create_from_config_dict(data, source=Large).run()
    assert status.is_success, status
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"most": most[0], "held": most[1], "asked": most[2], "before": before, "after": after}))


if __name__ == "__main__":
    main()
