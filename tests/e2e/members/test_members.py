"""Several commands read one stream (`bizon run --join` in sync mode stream). The test decides who reads which place, so
that each of them dies or freezes with places in its hands. Every record is there once while the others go on.
"""

import signal
from pathlib import Path

import pytest
from e2e.crash.crash_kit import thaw
from e2e.members.members_kit import (
    CSV,
    LONGEST,
    MERGED,
    PARQUET,
    SIX,
    TYPED,
    Stream,
    expected,
    stop,
    until,
    until_frozen,
    until_rows,
)
from postgres import Place

pytestmark = pytest.mark.matrix(share=12, pool="members of a stream")
KINDS = [SIX, TYPED, PARQUET, CSV]
FIRST, SECOND, THIRD = 20, 60, 90


def stream_of(folder: Path, place: Place, kind: str = SIX) -> Stream:
    stream = Stream(folder, place, kind)
    stream.produce(FIRST)
    stream.assign(one="abcd")
    return stream


@pytest.mark.parametrize("kind", KINDS)
def test_places_move_in_good_order_and_nothing_comes_twice(tmp_path: Path, postgres: Place, kind: str) -> None:
    stream = stream_of(tmp_path, postgres, kind)
    with stream.member("one") as one, stream.member("two") as two:
        until_rows(stream, expected(FIRST))
        stream.assign(one="ab")
        stream.produce(SECOND)
        until(lambda: stream.owns("one") == "ab", stream, "the places of the first member")
        stream.assign(one="ab", two="cd")
        until_rows(stream, expected(SECOND))
        stop(one, stream)
        stream.assign(two="abcd")
        stream.produce(THIRD)
        until_rows(stream, expected(THIRD))
        stop(two, stream)
    assert "joining again" not in stream.log()
    assert "Traceback" not in stream.log()


@pytest.mark.parametrize("point", ["after_write:3", "after_cursor:3"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_member_goes_on_where_a_killed_one_has_committed(
    tmp_path: Path, postgres: Place, kind: str, point: str
) -> None:
    """The next member takes back the rows that the dead one had written without a checkpoint, before it reads on."""
    stream = stream_of(tmp_path, postgres, kind)
    with stream.member("one", point) as one:
        assert one.wait(LONGEST) == -signal.SIGKILL, stream.log()
    with stream.member("two") as two:
        stream.assign(two="abcd")
        until_rows(stream, expected(FIRST))
        stop(two, stream)
    assert "Traceback" not in stream.log()


@pytest.mark.parametrize("point", ["after_write:3", "after_cursor:3", "before_commit:16"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_frozen_member_comes_back_when_its_places_have_moved(
    tmp_path: Path, postgres: Place, kind: str, point: str
) -> None:
    stream = stream_of(tmp_path, postgres, kind)
    if kind in (PARQUET, CSV) and "commit" in point:
        point = "part_written:3"
    with stream.member("one", f"{point}@frozen") as one, stream.member("two") as two:
        until_frozen(one, stream)
        stream.assign(two="abcd")
        stream.produce(SECOND)
        until_rows(stream, expected(SECOND))
        thaw(one)
        until(lambda: "joining again" in stream.log(), stream, "a member that joins again")
        stream.assign(one="ab")
        until(lambda: stream.owns("two") == "", stream, "a member that has given everything up")
        stream.assign(one="ab", two="cd")
        stream.produce(THIRD)
        until_rows(stream, expected(THIRD))
        stop(one, stream)
        stop(two, stream)
    assert "Traceback" not in stream.log()


def test_a_frozen_member_merges_nothing_over_what_others_have_merged_since(tmp_path: Path, postgres: Place) -> None:
    """The values that it is about to write are older than what the member has merged that reads its places now."""
    stream = stream_of(tmp_path, postgres, MERGED)
    with stream.member("one", "after_cursor:2@frozen") as one, stream.member("two") as two:
        until_frozen(one, stream)
        stream.assign(two="abcd")
        newest = [f"{place}-{FIRST - 1}" for place in "abcd"]
        until_rows(stream, newest)
        thaw(one)
        until(lambda: "joining again" in stream.log(), stream, "a member that joins again")
        assert stream.rows() == newest
        stop(one, stream)
        stop(two, stream)


def test_a_seat_that_was_left_behind_is_settled_although_nobody_reads_its_places(
    tmp_path: Path, postgres: Place
) -> None:
    stream = stream_of(tmp_path, postgres)
    with stream.member("two") as two:
        with stream.member("one", "after_write:3") as one:
            assert one.wait(LONGEST) == -signal.SIGKILL, stream.log()
        until(lambda: len(stream.rows()) == 2 * 5, stream, "two pages with a checkpoint")
        stop(two, stream)


def test_plain_runs_and_members_go_on_where_the_others_have_stopped(tmp_path: Path, postgres: Place) -> None:
    stream = stream_of(tmp_path, postgres)
    with stream.started(point="after_write:3") as plain:
        assert plain.wait(LONGEST) == -signal.SIGKILL, stream.log()
    with stream.member("one") as one:
        until_rows(stream, expected(FIRST))
        stop(one, stream)
    stream.produce(SECOND)
    with stream.member("one", "after_write:4") as one:
        assert one.wait(LONGEST) == -signal.SIGKILL, stream.log()
    postgres.rows("DELETE FROM stream_leases")
    with stream.started() as plain:
        until_rows(stream, expected(SECOND))
        stop(plain, stream)
    stream.produce(THIRD)
    stream.assign(one="ab", two="cd")
    with stream.member("one") as one, stream.member("two") as two:
        until_rows(stream, expected(THIRD))
        stop(one, stream)
        stop(two, stream)
    assert len(postgres.rows("SELECT id FROM stream_jobs")) == 1
    assert "Traceback" not in stream.log()


def test_a_plain_run_is_kept_out_while_a_member_lives_and_begins_at_once_after_the_last(
    tmp_path: Path, postgres: Place
) -> None:
    stream = stream_of(tmp_path, postgres)
    stream.lease_ttl = LONGEST
    with stream.member("one") as one:
        until_rows(stream, expected(FIRST))
        with stream.started() as plain:
            assert plain.wait(LONGEST) == 3, stream.log()
        stop(one, stream)
    stream.produce(SECOND)
    with stream.started() as plain:
        until_rows(stream, expected(SECOND))
        with stream.member("one") as one:
            assert one.wait(LONGEST) == 3, stream.log()
        stop(plain, stream)


def test_the_status_shows_the_members(tmp_path: Path, postgres: Place) -> None:
    stream = stream_of(tmp_path, postgres)
    stream.assign(one="abc", two="d")
    with stream.member("one"), stream.member("two"):
        until_rows(stream, expected(FIRST))
        until(lambda: stream.owns("one") == "abc" and stream.owns("two") == "d", stream, "all places")
        found = stream.status()
        assert sorted("".join(each["places"]) for each in found["members"]) == ["abc", "d"]
        assert [each["alive"] for each in found["members"]] == [True, True]
        assert (found["state"], found["joined"], found["rows_written"]) == ("running", True, 4 * FIRST)
    assert [each["alive"] for each in stream.status()["members"]] == [False, False]


def test_each_member_has_a_file_of_dead_letters(tmp_path: Path, postgres: Place) -> None:
    stream = stream_of(tmp_path, postgres)
    refuse = {"label": "refuse", "python": "if data['n'] % 5 == 0: raise ValueError('refused')"}
    stream.more = {"on_error": "dead_letter", "transforms": [refuse]}
    stream.assign(one="ab", two="cd")
    with stream.member("one") as one, stream.member("two") as two:
        until_rows(stream, [id_ for id_ in expected(FIRST) if int(id_[2:]) % 5])
        stop(one, stream)
        stop(two, stream)
    files = sorted(tmp_path.glob("out.dead_letters.member*.json"))
    assert len(files) == 2
    letters = [line for path in files for line in path.read_text().splitlines()]
    assert len(letters) == 4 * FIRST // 5
