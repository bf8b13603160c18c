"""Groups of files: the suite's behaviours of partitions, and the state for the next run."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bizon.connectors.sources.files.src.config import FilesSourceConfig
from bizon.connectors.sources.files.src.known_files import state_of
from bizon.connectors.sources.files.src.local_files import LocalFiles
from bizon.connectors.sources.files.src.places import files_of
from bizon.connectors.sources.files.src.source import FilesSource
from bizon.engine.engine import load_config_dict
from bizon.source.models import SourceIncrementalState
from bizon.testing.source_partitions import PartitionBehaviours
from bizon.testing.source_subject import Subject

FILES = 9


@pytest.fixture
def block(tmp_path: Path) -> dict[str, Any]:
    """Files of which about three make a piece."""
    for number in range(FILES):
        rows = [{"id": f"{number}-{row}", "text": "x" * 20} for row in range(10)]
        (tmp_path / f"{number}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return {"name": "files", "stream": "items", "path": f"{tmp_path}/*.jsonl", "piece_size": 1_500, "id": "id"}


@contextmanager
def opened(block: dict[str, Any], partition: dict[str, Any] | None = None) -> Iterator[FilesSource]:
    source = FilesSource(FilesSourceConfig.model_validate(block))
    source.partition = partition
    try:
        yield source
    finally:
        source.close()


def plans_of(block: dict[str, Any]) -> list[dict[str, Any]]:
    with opened(block) as source:
        return source.get_partitions()


def first_state(block: dict[str, Any], partition: dict[str, Any]) -> dict[str, Any] | None:
    with opened(block, partition) as source:
        return source.get({}).next_state


class TestGroups(PartitionBehaviours):
    @pytest.fixture
    def subject(self, block: dict[str, Any]) -> Subject:
        return Subject(load_config_dict({"name": "suite", "source": block, "destination": {"name": "logger"}}))

    def test_a_group_has_whole_files_and_about_a_piece(self, block: dict[str, Any]) -> None:
        groups = [[Path(file[0]).name for file in plan["files"]] for plan in plans_of(block)]
        assert [len(group) for group in groups] == [3, 3, 3]
        assert sorted(name for group in groups for name in group) == [f"{number}.jsonl" for number in range(FILES)]


def test_files_that_fit_into_one_piece_are_one_chain(block: dict[str, Any]) -> None:
    assert plans_of({**block, "piece_size": 1_000_000}) == []


def test_the_first_group_has_the_state_of_all_files_as_they_were_listed(block: dict[str, Any]) -> None:
    plans = plans_of(block)
    listed = files_of(LocalFiles(), [block["path"]], may_be_none=False)
    Path(block["path"].replace("*", "later")).write_text('{"id": "later"}\n')
    states = [first_state(block, plan) for plan in plans]
    assert states == [state_of(listed), None, None]


def test_a_file_that_appears_after_the_plan_is_read_by_the_next_run(block: dict[str, Any]) -> None:
    plans = plans_of(block)
    Path(block["path"].replace("*", "later")).write_text('{"id": "later"}\n')
    state = {"last_run": "2026-01-01T00:00:00Z", "state": first_state(block, plans[0])}
    with opened(block) as source:
        page = source.get_records_after(SourceIncrementalState.model_validate(state), {})
    assert list(page.records.ids) == ["later"]  # type: ignore[union-attr, arg-type]
