"""The places of partitions, as a cursor keeps them."""

from typing import Any

import orjson
import pytest

from bizon.common.errors.errors import BackendError, QueueError
from bizon.engine.partitions import PARTITIONS, PageOrigin, Partition, Position, Positions, paginations_in

THREE = tuple(Partition(number, {"part": number}) for number in range(3))


def restored(positions: Positions) -> Positions:
    """As the next run reads them from a checkpoint."""
    return Positions.of_checkpoint(THREE, orjson.loads(orjson.dumps(positions.as_pagination())))


def advanced(*pages: tuple[int, int, dict[str, Any]]) -> Positions:
    before = Positions.of_checkpoint(THREE, {})
    return before.advanced([(PageOrigin(partition, page), following) for partition, page, following in pages])


def test_a_job_without_a_cursor_begins_every_partition_at_its_first_page() -> None:
    positions = Positions.of_checkpoint(THREE, {})
    assert [positions.position_of(number) for number in range(3)] == [Position(0, {})] * 3
    assert positions.left == [*THREE]


def test_each_partition_continues_after_its_own_last_page() -> None:
    positions = restored(advanced((1, 0, {"at": 1}), (0, 0, {"at": 7}), (1, 1, {"at": 2})))
    assert [positions.position_of(number) for number in range(3)] == [(1, {"at": 7}), (2, {"at": 2}), (0, {})]


def test_a_partition_whose_last_page_is_committed_is_not_left() -> None:
    positions = restored(advanced((1, 0, {"at": 1}), (1, 1, {}), (2, 0, {"at": 5})))
    assert [each.number for each in positions.left] == [2, 0], "those that have begun come first"


def test_the_pagination_is_empty_once_no_partition_is_left() -> None:
    positions = advanced((0, 0, {}), (2, 0, {}))
    assert positions.as_pagination() != {}
    assert positions.advanced([(PageOrigin(1, 0), {})]).as_pagination() == {}


@pytest.mark.parametrize("page", [(0, 2), (0, 0), (1, 0), (2, 1)], ids=["gap", "repeat", "after its end", "not begun"])
def test_a_page_that_does_not_follow_the_last_one_of_its_partition_is_refused(page: tuple[int, int]) -> None:
    positions = advanced((0, 0, {"at": 1}), (1, 0, {}))
    with pytest.raises(QueueError, match=f"of partition {page[0]} is missing"):
        positions.advanced([(PageOrigin(*page), {"at": 9})])


@pytest.mark.parametrize(
    "pagination",
    [
        {"page": 3},
        {PARTITIONS: {"left": 2, "done": [], "at": {}}},
        {PARTITIONS: {"left": 2, "done": [7], "at": {}}},
        {PARTITIONS: {"left": 2, "done": [0], "at": {"0": [1, {}]}}},
        {PARTITIONS: {"left": 3, "done": [], "at": {"1": 4}}},
        {PARTITIONS: None},
        {PARTITIONS: {"left": 3, "done": [], "at": []}},
    ],
    ids=["of one chain", "other count", "unknown", "done and begun", "no place", "nothing", "a list"],
)
def test_a_checkpoint_of_other_partitions_is_refused(pagination: dict[str, Any]) -> None:
    with pytest.raises(BackendError, match="does not belong to the 3 partitions"):
        Positions.of_checkpoint(THREE, pagination)


def test_the_paginations_of_a_source_are_found_in_both_kinds_of_checkpoint() -> None:
    assert paginations_in({"page": 3}) == [{"page": 3}]
    positions = advanced((0, 0, {"at": 1}), (2, 0, {"at": 2}))
    assert paginations_in(positions.as_pagination()) == [{"at": 1}, {"at": 2}]


@pytest.mark.parametrize("places", [None, {"at": []}, {"at": {"1": 4}}, {}])
def test_places_that_nobody_can_read_have_no_paginations(places: Any) -> None:
    assert paginations_in({PARTITIONS: places}) == []
