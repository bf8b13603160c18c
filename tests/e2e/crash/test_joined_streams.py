"""Commands that share the jobs of all streams of a file (`streams:` and `--join`): each record is there once, and each
stream is published once."""

import json
import signal
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import commands
import pytest
import yaml
from e2e.crash.crash_kit import HERE, Rig, rows_of
from e2e.crash.test_joined import JOIN, LONGEST
from e2e.crash.test_partitions_crash import query

pytestmark = pytest.mark.matrix(share=4, pool="joined streams")

STREAMS = ["items", "others"]
PAGES, PARTS = 12, 5


class StreamsRig(Rig):
    """A pipeline of two streams with partitions, both at the same time. A command fetches one part of each at a time,
    and leaves the others."""

    def __init__(self, folder: Path, format: str, runner: str, meeting: int) -> None:
        source = {"pages": PAGES, "partitions": PARTS, "source_file_path": str(HERE / "meeting_source.py")}
        super().__init__(folder, "full_refresh", format, runner, **source)
        del self.source["stream"]
        self.destination["destination_id"] = "out/{stream}"
        (folder / "meeting").write_text(str(meeting))

    def command(self, *flags: str) -> list[str]:
        path = self.folder / "config.yml"
        if not path.exists():  # a command that was started before may be about to read it
            super().command()
            path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "streams": STREAMS}))
        return [*commands.BIZON, "run", "config.yml", JOIN, "--join-id", "once", *flags]


def streams_of(rig: Rig) -> list[dict[str, Any]]:
    """The results of each command, one for each stream."""
    return [stream for path in rig.folder.glob("result-*.json") for stream in json.loads(path.read_text())["streams"]]


def check(rig: Rig, format: str) -> None:
    for stream in STREAMS:
        assert sorted(rows_of(rig.folder / f"out/{stream}.{format}")) == rig.expected()
    jobs = query(rig, "SELECT stream_name, status FROM stream_jobs ORDER BY 1")
    assert jobs == [(stream, "succeeded") for stream in STREAMS], rig.log()
    assert "Traceback" not in rig.log()


def asked(rig: Rig, stream: str) -> list[int]:
    return [int(line) for line in (rig.folder / f"asked-{stream}").read_text().splitlines()]


@pytest.mark.parametrize(("format", "runner"), [("json", "thread"), ("parquet", "process")])
def test_two_commands_share_the_jobs_of_all_streams(tmp_path: Path, format: str, runner: str) -> None:
    """No page is served before both of them work on a stream."""
    rig = StreamsRig(tmp_path, format, runner, meeting=2)
    with ExitStack() as started:
        both = [started.enter_context(rig.started(None, "--result-json", f"result-{name}.json")) for name in "ab"]
        assert [each.wait(LONGEST) for each in both] == [0, 0], rig.log()
    check(rig, format)
    assert [sorted(asked(rig, stream)) for stream in STREAMS] == [[*range(PAGES)]] * 2, "no page was fetched twice"
    told = streams_of(rig)
    assert Counter(each["name"] for each in told if each["published"]) == {stream: 1 for stream in STREAMS}
    for stream in STREAMS:
        of_stream = [each for each in told if each["name"] == stream]
        assert sum(each["records_written"] for each in of_stream) == len(rig.expected())
        assert sum(each["partitions"]["finished"] for each in of_stream) == PARTS
        assert all(each["partitions"]["finished"] for each in of_stream), "each command had a part"


@pytest.mark.parametrize("point", ["after_prepare:2", "after_write:2", "after_cursor:3"])
def test_one_command_finishes_the_streams_of_another_that_is_killed(tmp_path: Path, point: str) -> None:
    """Each command has a part of each stream, and passes every point."""
    rig = StreamsRig(tmp_path, "json", "thread", meeting=2)
    with rig.started(point) as killed, rig.started() as other:
        assert killed.wait(LONGEST) == -signal.SIGKILL, rig.log()
        (tmp_path / "meeting").write_text("1")
        assert other.wait(LONGEST) == 0, rig.log()
    check(rig, "json")
