"""A power cut at any moment: nothing vouches for a file that is not on disk yet.

SIGKILL cannot show that, so the test reads the order of operations from a log; ``hook/disk_log.py`` says what is in it.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from e2e.crash.crash_cli import HOOK
from e2e.crash.crash_kit import FORMATS, MODES, Rig

Events = list[list[Any]]
Logged = Callable[[Rig], Events]
CASES = [(mode, format, "thread") for mode in MODES for format in FORMATS]
CASES += [("incremental", "json", "process"), ("stream", "json", "stream"), ("stream", "parquet", "stream")]


@pytest.fixture
def logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Logged:
    """Runs a pipeline; returns its disk operations. The spool is a cache that nothing vouches for."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(HOOK), os.environ.get("PYTHONPATH")])))

    def run(rig: Rig) -> Events:
        log = tmp_path / "disk.log"
        log.unlink(missing_ok=True)
        monkeypatch.setenv("DISK_LOG", str(log))
        assert rig.run() == 0, rig.log()
        events = [json.loads(line) for line in log.read_text().splitlines()]
        return [event for event in events if not any(".spool" in str(part) for part in event)]

    return run


class Disk:
    """The files and content that survive a power cut for certain."""

    def __init__(self) -> None:
        self.content: dict[str, int] = {}
        self.uncertain_names: set[str] = set()

    def follow(self, event: list[Any]) -> None:
        match event:
            case ["folder", path]:
                self.uncertain_names.add(path)
            case ["fsync", path, None]:
                self.uncertain_names = {name for name in self.uncertain_names if os.path.dirname(name) != path}
            case ["fsync", path, size]:
                if path not in self.content:
                    self.uncertain_names.add(path)
                self.content[path] = size
            case ["rename", source, target, None]:  # a folder
                self.uncertain_names = self.uncertain_names - {source} | {target}
            case ["rename" | "link" as what, source, target, size]:
                self._named(what, source, target, size)
            case ["cursor", *_] | ["succeeded"]:
                assert not self.uncertain_names, event

    def _named(self, what: str, source: str, target: str, size: int) -> None:
        assert self.content.get(source) == size, f"{target} got its name before its content was on disk"
        self.content[target] = size
        if what == "rename":
            del self.content[source]
            self.uncertain_names.discard(source)
        if target.endswith("manifest.json"):
            assert not self.uncertain_names, f"{target} vouches for them"
        self.uncertain_names.add(target)


@pytest.mark.parametrize(("mode", "format", "runner"), CASES)
def test_a_file_is_on_disk_before_it_gets_its_name_and_its_name_before_anything_vouches_for_it(
    tmp_path: Path, logged: Logged, mode: str, format: str, runner: str
) -> None:
    rig = Rig(tmp_path, mode, format, runner, **({"max_iterations": 4} if mode == "stream" else {}))
    disk = Disk()
    for _ in range(2):
        events = logged(rig)
        for event in events:
            disk.follow(event)
        assert {"fsync", "cursor"} <= {event[0] for event in events}
        rig.change()


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("mode", MODES)
def test_the_output_is_replaced_once_it_is_on_disk_and_the_manifest_says_publishing(
    tmp_path: Path, logged: Logged, mode: str, format: str
) -> None:
    rig = Rig(tmp_path, mode, format)
    for _ in range(2):
        steps = [publishing_step(event) for event in logged(rig)]
        assert list(filter(None, steps)) == ["on disk", "publishing", "replaced", "published", "succeeded"]
        rig.change()


def publishing_step(event: list[Any]) -> str | None:
    """The step of ``publish.py`` that an event is, if any."""
    match event:
        case ["fsync", path, _] | ["link", _, path, _] if Path(path).name.startswith("ready-"):
            return "on disk"
        case ["manifest", _, ("publishing" | "published") as state]:
            return state
        case ["rename", path, _, _] if Path(path).name.startswith("ready-"):
            return "replaced"
        case ["succeeded"]:
            return "succeeded"
    return None


def test_an_append_is_in_the_journal_before_it_begins_and_on_disk_before_its_checkpoint(
    tmp_path: Path, logged: Logged
) -> None:
    rig = Rig(tmp_path, "stream", "json", "stream", max_iterations=4)
    steps = [appending_step(event) for event in logged(rig)]
    assert list(filter(None, steps)) == ["journal", "out.json", "cursor"] * 3


def appending_step(event: list[Any]) -> str | None:
    """The step of ``journal.py`` that an event is, if any."""
    match event:
        case ["fsync", path, int()] if Path(path).name in ("journal", "out.json"):
            return Path(path).name
        case ["cursor", *_]:
            return "cursor"
    return None
