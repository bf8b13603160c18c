"""A run that writes to MariaDB is frozen past its lease, another one takes over, and the first is thawed."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import commands
import pytest
import yaml

HERE = Path(__file__).parent
LEASE_TTL = 1.0  # seconds
LONGEST = 90.0  # seconds
ROWS = 40
POINTS = {
    "staged": "after INSERT INTO `items_temp",  # holds the lock of the output until the server gives it up
    "claimed": "after UPDATE `_bizon_outputs` SET staging",
    "before_a_batch": "before INSERT INTO `items_temp",
    "before_publishing": "before DELETE FROM `items`",
    "published": "after INSERT INTO `items`",
    "before_the_drop": "before DROP TABLE IF EXISTS `items_temp",
}
TESTED = ["staged"]
SOURCE = """
from bizon.source.models import SourceIteration, SourceRecord
from bizon.source.source import AbstractSource
from bizon.source.config import SourceConfig


class Numbers(AbstractSource):
    @staticmethod
    def streams():
        return ["numbers"]

    @staticmethod
    def get_config_class():
        return SourceConfig

    def get_authenticator(self):
        return None

    def check_connection(self):
        return True, None

    def get_total_records_count(self):
        return None

    def get(self, pagination=None):
        first = (pagination or {}).get("first", 0)
        found = [SourceRecord(id=str(n), data={"n": n}) for n in range(first, first + 10)]
        return SourceIteration(records=found, next_pagination={"first": first + 10} if first < 30 else {})
"""


def is_stopped(process: "subprocess.Popen[bytes]") -> bool:
    assert process.poll() is None, "the run has ended before it was frozen"
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


@pytest.mark.parametrize("point", list(POINTS) if os.environ.get("BIZON_TEST_LONG") else TESTED)
def test_a_run_that_was_frozen_past_its_lease_changes_nothing(
    server: dict[str, Any], database: str, execute: Callable[..., list[dict[str, Any]]], tmp_path: Path, point: str
) -> None:
    (tmp_path / "numbers_source.py").write_text(SOURCE)
    destination = {
        **server,
        "tls": False,
        "database": database,
        "destination_id": "items",
        "buffer_size": 0,
        "idle_timeout": 2,
    }
    destination["destination_file_path"] = str(HERE / "freezing_destination.py")
    pipeline = {
        "name": "freeze",
        "source": {"name": "numbers", "stream": "numbers", "source_file_path": "numbers_source.py"},
        "destination": {"name": "custom", "config": destination},
        "engine": {
            "backend": {"type": "sqlite", "config": {"database": str(tmp_path / "state")}},
            "runner": {"type": "thread", "config": {"lease_ttl": LEASE_TTL}},
        },
    }
    (tmp_path / "freeze.yml").write_text(yaml.safe_dump(pipeline))
    command, log = [*commands.BIZON, "run", "freeze.yml"], tmp_path / "log"
    with log.open("wb") as output:
        frozen = commands.Popen(
            command, cwd=tmp_path, env={**os.environ, "BIZON_TEST_FREEZE": POINTS[point]}, stdout=output, stderr=output
        )
        try:
            until = time.monotonic() + LONGEST
            while not is_stopped(frozen):
                assert time.monotonic() < until
                time.sleep(0.05)
            until_overdue = LEASE_TTL + 0.3
            time.sleep(until_overdue)
            done = commands.run(command, cwd=tmp_path, stdout=output, stderr=output, timeout=LONGEST)
            assert done.returncode == 0, log.read_text()
            assert numbers(execute, database) == list(range(ROWS))
            os.kill(frozen.pid, signal.SIGCONT)
            assert frozen.wait(LONGEST) == 1, log.read_text()
        finally:
            frozen.kill()
            frozen.wait()
    assert numbers(execute, database) == list(range(ROWS))
    assert commands.run(command, cwd=tmp_path, timeout=LONGEST).returncode == 0
    assert numbers(execute, database) == list(range(ROWS))


def numbers(execute: Callable[..., list[dict[str, Any]]], database: str) -> list[int]:
    rows = execute(f"SELECT source_record_id AS number FROM {database}.items")
    return sorted(int(row["number"]) for row in rows)
