"""A stream or a partition that does not get on keeps nobody else from their end, with small buffers and large pages."""

import threading
from collections.abc import Callable
from typing import Any, ClassVar

import polars as pl
import pytest
from fakes import EmptySource

from bizon.destination.config import AbstractDestinationDetailsConfig
from bizon.destination.destination import AbstractDestination
from bizon.engine.engine import RunnerFactory
from bizon.engine.runner import writing
from bizon.source.models import SourceIteration, SourceRecord

NAMES = ["slow", "b", "c", "d", "e"]
PAGES, SIZE = 6, 2_000_000
"""Bytes of a page: six of them are more than a stream may hold while it waits."""
BOUND = 60  # seconds; reached only when something hangs


def page_of(number: int, pagination: dict[str, Any] | None) -> SourceIteration:
    page = (pagination or {}).get("page", 0)
    records = [SourceRecord(id=f"{number}-{page}", data={"text": "x" * SIZE})]
    return SourceIteration(records=records, next_pagination={"page": page + 1} if page + 1 < PAGES else {})


class Streams(EmptySource):
    @staticmethod
    def streams() -> list[str]:
        return NAMES

    def get(self, pagination: dict[str, Any] | None = None) -> SourceIteration:
        return page_of(0, pagination)


class Parts(EmptySource):
    """The pages of partition 0 come once all others are written."""

    others_are_written: ClassVar[threading.Event]

    def get_partitions(self) -> list[dict[str, Any]]:
        return [{"part": number} for number in range(4)]

    def get(self, pagination: dict[str, Any] | None = None) -> SourceIteration:
        assert self.partition is not None
        if self.partition["part"] == 0:
            assert self.others_are_written.wait(BOUND), "the other partitions do not get on"
        return page_of(self.partition["part"], pagination)


class Target(AbstractDestination):
    """Calls ``written`` with each id before it takes a batch."""

    def __init__(self, context: Any, *parts: Any, written: Callable[[str, str], None]) -> None:
        super().__init__(context.sync_metadata, AbstractDestinationDetailsConfig(destination_id="x"), *parts)
        self._written = written

    def check_connection(self) -> bool:
        return True

    def write_records(self, df_destination_records: pl.DataFrame) -> tuple[bool, str | None]:
        for id_ in df_destination_records["source_record_id"]:
            self._written(self.sync_metadata.stream_name, id_)
        return True, None


def run(
    monkeypatch: pytest.MonkeyPatch, kind: type[EmptySource], written: Callable[[str, str], None], **more: Any
) -> Any:
    monkeypatch.setattr(writing, "build_destination", lambda *parts: Target(*parts, written=written))
    settings = {"max_parallel_streams": 2, "max_parallel_partitions": 2}
    data = {
        "name": "slow",
        "destination": {"name": "logger", "config": {"buffer_size": 0}},
        "engine": {"backend": {"type": "sqlite_in_memory"}, "runner": {"config": settings}},
        **more,
    }
    return RunnerFactory.create_from_config_dict(data, source=kind).run()


def test_a_stream_whose_destination_is_stuck_leaves_the_others_to_their_end(monkeypatch: pytest.MonkeyPatch) -> None:
    left, others = {name: PAGES for name in NAMES if name != "slow"}, threading.Event()

    def written(stream: str, _id: str) -> None:
        if stream == "slow":
            assert others.wait(BOUND), f"the other streams do not get on: {left}"
            return
        left[stream] -= 1
        if not any(left.values()):
            others.set()

    status = run(monkeypatch, Streams, written, streams=NAMES)
    assert status.is_success, status
    assert status.records_written == PAGES * len(NAMES)


def test_a_partition_that_is_stuck_leaves_the_others_to_their_end(monkeypatch: pytest.MonkeyPatch) -> None:
    Parts.others_are_written = threading.Event()
    found: list[str] = []

    def written(_stream: str, id_: str) -> None:
        found.append(id_)
        if len(found) == 3 * PAGES:
            Parts.others_are_written.set()

    status = run(monkeypatch, Parts, written, source={"name": "parts", "stream": "items"})
    assert status.is_success, status
    assert {id_[0] for id_ in found[: 3 * PAGES]} == {"1", "2", "3"}
    assert len({*found}) == len(found) == 4 * PAGES
