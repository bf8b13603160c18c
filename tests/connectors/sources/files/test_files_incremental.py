"""Incremental runs: files that are new or changed, known by their versions and not by their place in a listing."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from connectors.sources.files.files_kit import Read, changed_since, read

from bizon.common.errors.errors import SourceFetchError
from bizon.source.models import SourceIncrementalState


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        (folder / f"{name}.jsonl").write_text(f'{{"v":"{text}"}}\n')


def values(found: Read) -> list[str]:
    return [each["v"] for each in found.data]


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, Any]:
    return {"path": str(tmp_path / "*.jsonl"), "allow_no_files": True}


def test_a_second_run_finds_nothing_and_a_third_what_changed(tmp_path: Path, keys: dict[str, Any]) -> None:
    write(tmp_path, b="1", d="2")
    first = read(**keys)
    second = read(state=changed_since(first.state), **keys)
    assert values(second) == []
    write(tmp_path, a="new, and first in the listing", d="changed")
    third = read(state=changed_since(second.state), **keys)
    assert values(third) == ["new, and first in the listing", "changed"]
    assert values(read(state=changed_since(third.state), **keys)) == []


def test_a_file_with_an_old_modification_time_is_new(tmp_path: Path, keys: dict[str, Any]) -> None:
    """Moved here, or copied with its time: a watermark of time would never see it."""
    write(tmp_path, a="1")
    first = read(**keys)
    write(tmp_path, b="old")
    os.utime(tmp_path / "b.jsonl", (0, 0))
    assert values(read(state=changed_since(first.state), **keys)) == ["old"]


def test_the_state_forgets_files_that_are_gone(tmp_path: Path, keys: dict[str, Any]) -> None:
    write(tmp_path, **{f"f{number}": "x" for number in range(100)})
    first = read(**keys)
    assert len(str(first.state)) < 100 * 11 + 50
    for number in range(99):
        (tmp_path / f"f{number}.jsonl").unlink()
    second = read(state=changed_since(first.state), **keys)
    assert len(str(second.state)) < 50
    (tmp_path / "f99.jsonl").unlink()
    third = read(state=changed_since(second.state), **keys)
    assert third.state == {"files": ""}
    write(tmp_path, f99="back")
    assert values(read(state=changed_since(third.state), **keys)) == ["back"]


def test_a_run_that_resumes_skips_what_the_last_run_knew(tmp_path: Path, keys: dict[str, Any]) -> None:
    write(tmp_path, a="1", c="3")
    first = read(**keys)
    write(tmp_path, b="2", d="4")
    state = changed_since(first.state)
    whole = read(state=state, piece_size=1, **keys)
    assert values(whole) == ["2", "4"]
    assert values(read(whole.paginations[0], state=state, piece_size=1, **keys)) == ["4"]


def test_a_window_of_the_past_takes_the_files_that_were_modified_in_it(tmp_path: Path, keys: dict[str, Any]) -> None:
    write(tmp_path, a="1", b="2", c="3")
    noon = datetime(2024, 5, 1, 12, tzinfo=UTC)
    for name, hours in (("a", -1), ("b", 0), ("c", 1)):
        moment = (noon + timedelta(hours=hours)).timestamp()
        os.utime(tmp_path / f"{name}.jsonl", (moment, moment))
    window = SourceIncrementalState(last_run=noon, run_started_at=noon + timedelta(hours=1))
    assert values(read(state=window, **keys)) == ["2"]


def test_the_state_of_another_source_is_refused(keys: dict[str, Any]) -> None:
    state = SourceIncrementalState(last_run=datetime.now(UTC), state={"files": "no base64!"})
    with pytest.raises(SourceFetchError, match="is not of source 'files'"):
        read(state=state, **keys)
