"""Pages that wait long are spooled to disk; a lost or torn spool only costs fetching."""

import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Protocol

import pytest
from engine.queue.mangle import PREFIX, with_checksum, zones
from fakes import FakeClock, run_of
from loguru import logger

from bizon.engine.queue import codec
from bizon.engine.queue import spool as spool_module
from bizon.engine.queue.models import QueueMessage, Signal
from bizon.engine.queue.spool import LONGEST_WAIT, Spool, discard, replay
from bizon.rows.frames import records_to_frame
from bizon.source.models import SourceRecord

NOW = datetime(2026, 1, 1, tzinfo=UTC)


SLOW = 2 * LONGEST_WAIT


def page(iteration: int, signal: Signal | None = None, seconds: float = SLOW) -> QueueMessage:
    frame = records_to_frame([SourceRecord(id=iteration, data={"n": iteration})], NOW)
    found = QueueMessage("job", 1, iteration, frame, NOW, {"page": iteration + 1}, {"high": iteration}, signal)
    return replace(found, fetch_seconds=seconds)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


class Spooled(Protocol):
    def __call__(self, *iterations: int, epoch: int = 1) -> Spool: ...


@pytest.fixture
def spooled(tmp_path: Path, clock: FakeClock) -> Iterator[Spooled]:
    """Creates a spool that has written these pages."""
    with ExitStack() as spools:

        def make(*iterations: int, epoch: int = 1) -> Spool:
            spool = Spool(tmp_path, run_of("job", epoch), clock)
            spools.callback(spool.close)
            for iteration in iterations:
                spool.note(page(iteration))
            clock.advance(LONGEST_WAIT)
            spool.tick()
            return spool

        yield make


def replayed(folder: Path, next_iteration: int = 0, job_id: str = "job") -> list[int]:
    return [message.iteration for message in replay(folder, run_of(job_id, 9, last_iteration=next_iteration - 1))]


def test_a_page_that_waits_long_survives_a_kill(tmp_path: Path, spooled: Spooled) -> None:
    spooled(0, 1)
    first, second = replay(tmp_path, run_of("job", 9))
    assert (first.iteration, second.iteration) == (0, 1)
    assert first.frame.equals(page(0).frame)
    assert (first.pagination, first.next_state, first.extracted_at) == ({"page": 1}, {"high": 0}, NOW)
    assert first.epoch == 9, "it is delivered as of the new start"


def test_a_page_is_noted_while_another_is_written(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    writing, noted = Event(), Event()

    def slow(message: QueueMessage) -> bytes:
        writing.set()
        assert noted.wait(10), "the page that follows is not noted"
        return codec.encode(message)

    spool = Spool(tmp_path, run_of("job", 1), clock)
    spool.note(page(0))
    clock.advance(LONGEST_WAIT)
    monkeypatch.setattr(spool_module, "encode", slow)
    with ThreadPoolExecutor() as threads:
        ticking = threads.submit(spool.tick)
        assert writing.wait(10)
        spool.note(page(1))
        noted.set()
        ticking.result()
    spool.close()
    assert replayed(tmp_path) == [0]


def test_a_spool_is_private_to_its_user_and_follows_no_link(tmp_path: Path, spooled: Spooled) -> None:
    victim, spool = tmp_path / "victim", tmp_path / "job.000001.spool"
    victim.write_text("precious")
    spool.symlink_to(victim)
    spooled(0)
    assert victim.read_text() == "precious"
    assert stat.filemode(spool.lstat().st_mode) == "-rw-------"


def test_a_page_that_is_committed_soon_is_never_written(tmp_path: Path, clock: FakeClock) -> None:
    spool = Spool(tmp_path / "spool", run_of("job", 1), clock)
    spool.note(page(0))
    clock.advance(LONGEST_WAIT * 0.9)
    spool.tick()
    spool.committed(0)
    clock.advance(LONGEST_WAIT)
    spool.tick()
    assert not (tmp_path / "spool").exists()


def test_pages_that_are_fetched_again_quickly_are_never_written(tmp_path: Path, clock: FakeClock) -> None:
    spool = Spool(tmp_path / "spool", run_of("job", 1), clock)
    for iteration in range(100):
        spool.note(page(iteration, seconds=LONGEST_WAIT / 101))
        clock.advance(LONGEST_WAIT)
        spool.tick()
    assert not (tmp_path / "spool").exists()


def test_only_the_pages_that_are_fetched_again_quickly_stay_in_memory(tmp_path: Path, clock: FakeClock) -> None:
    spool = Spool(tmp_path, run_of("job", 1), clock)
    for iteration in range(5):
        spool.note(page(iteration, seconds=LONGEST_WAIT * 0.4))
    clock.advance(LONGEST_WAIT)
    spool.tick()
    spool.close()
    assert replayed(tmp_path) == [0, 1, 2]


def test_committed_pages_do_not_count_as_waiting(tmp_path: Path, clock: FakeClock) -> None:
    spool = Spool(tmp_path / "spool", run_of("job", 1), clock)
    for iteration in range(5):
        spool.note(page(iteration, seconds=LONGEST_WAIT * 0.4))
        spool.committed(iteration - 1)
        clock.advance(LONGEST_WAIT)
        spool.tick()
    assert not (tmp_path / "spool").exists()


def test_committed_pages_are_dropped(tmp_path: Path, clock: FakeClock, spooled: Spooled) -> None:
    spool = spooled(0, 1)
    spool.committed(1)
    assert replayed(tmp_path) == []
    assert [path.stat().st_size for path in tmp_path.iterdir()] == [0]
    spool.note(page(2))
    clock.advance(LONGEST_WAIT)
    spool.tick()
    assert replayed(tmp_path, 2) == [2]


def test_a_resumed_run_starts_after_the_committed_pages(tmp_path: Path, spooled: Spooled) -> None:
    spooled(0, 1, 2)
    assert replayed(tmp_path, 2) == [2]


def test_a_gap_ends_the_replay(tmp_path: Path, spooled: Spooled) -> None:
    spooled(0, 1, 3)
    assert replayed(tmp_path) == [0, 1]
    assert replayed(tmp_path, 5) == []


def test_pages_of_several_starts_are_joined_and_old_files_go_when_committed(tmp_path: Path, spooled: Spooled) -> None:
    spooled(0, 1).close()
    second = spooled(1, 2, epoch=2)
    assert replayed(tmp_path) == [0, 1, 2]
    second.committed(1)
    assert [path.name for path in tmp_path.iterdir()] == ["job.000002.spool"]


def test_a_torn_spool_gives_its_whole_pages_wherever_it_is_torn(tmp_path: Path, spooled: Spooled) -> None:
    spooled(0, 1).close()
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    seen = set()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        seen.add(tuple(replayed(tmp_path)))
    assert seen == {(), (0,)}


def test_a_damaged_page_and_all_pages_after_it_are_skipped(tmp_path: Path, spooled: Spooled) -> None:
    spooled(0, 1).close()
    (path,) = tmp_path.iterdir()
    content = bytearray(path.read_bytes())
    content[len(content) // 4] ^= 0xFF
    path.write_bytes(content)
    assert replayed(tmp_path) == []


def test_a_page_that_says_it_is_longer_than_its_file_is_left_out(tmp_path: Path, spooled: Spooled) -> None:
    """No memory is allocated for it, since the process might not get it."""
    spooled(0, 1).close()
    (path,) = tmp_path.iterdir()
    first = 4 + int.from_bytes(path.read_bytes()[:4])
    path.write_bytes(path.read_bytes()[:first] + b"\xff\xff\xff\xff" + path.read_bytes()[first + 4 :])
    assert replayed(tmp_path) == [0]


@pytest.mark.parametrize("seed", range(5))
def test_a_page_that_is_damaged_with_a_right_checksum_is_left_out(tmp_path: Path, spooled: Spooled, seed: int) -> None:
    spooled(0).close()
    (path,) = tmp_path.iterdir()
    rest = bytearray(path.read_bytes()[4 + PREFIX :])
    sizes = zones(bytes(rest))["batch"]
    rest[sizes.start + 8 :][: seed + 1] = b"\xff" * (seed + 1)
    rest[sizes.stop - 8 * (seed + 1) : sizes.stop] = b"\x7f" * 8 * (seed + 1)
    payload = with_checksum(bytes(rest))
    path.write_bytes(len(payload).to_bytes(4) + payload)
    assert replayed(tmp_path) == []


def test_a_page_that_cannot_be_encoded_only_ends_the_spooling(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The spool's thread would otherwise end with a traceback."""
    told: list[str] = []
    logger.add(lambda line: told.append(str(line)), level="WARNING", format="{message}")
    monkeypatch.setattr(codec, "LARGEST_HEADER", 10)
    spool = Spool(tmp_path, run_of("job", 1), clock)
    with spool.kept():
        spool.note(page(0))
        clock.advance(LONGEST_WAIT)
        deadline = monotonic() + 30
        while not told:
            assert monotonic() < deadline
    assert "waiting pages are no longer spooled to disk: next_pagination" in told[0]


def test_spools_of_other_jobs_are_discarded_and_the_end_of_a_stream_is_not_kept(
    tmp_path: Path, clock: FakeClock, spooled: Spooled
) -> None:
    spool = spooled(0)
    spool.note(page(1, Signal.COMPLETE))
    clock.advance(LONGEST_WAIT)
    spool.tick()
    assert replayed(tmp_path) == [0]
    discard(tmp_path, keep_job="job")
    assert replayed(tmp_path) == [0]
    discard(tmp_path, keep_job="other")
    assert not list(tmp_path.rglob("*.spool"))


def test_the_last_stream_takes_the_folder_of_all_with_it(tmp_path: Path) -> None:
    first, second = tmp_path / "state.spool" / "first", tmp_path / "state.spool" / "second"
    for folder in (first, second):
        folder.mkdir(parents=True)
    discard(first)
    assert second.exists()
    discard(second)
    assert list(tmp_path.iterdir()) == []


def test_pages_whose_paginations_take_much_memory_are_written_sooner(tmp_path: Path, clock: FakeClock) -> None:
    """They once waited in memory, uncounted, until they were old enough."""
    large = replace(page(0), state_length=3 * 2**20)
    spool = Spool(tmp_path, run_of("job", 1), clock)
    for iteration in range(4):
        spool.note(replace(large, iteration=iteration))
    assert [message.iteration for message in replay(tmp_path, run_of("job", 2))] == [0, 1, 2, 3]
    spool.close()
