"""Which files a path matches, and in which order they are read."""

import os
from pathlib import Path
from typing import Any

import pytest
from connectors.sources.files.files_kit import read, source

from bizon.common.errors.errors import SourceConnectionError
from bizon.connectors.sources.files.src.patterns import fixed_prefix, path_matcher

TREE = ["a.csv", "b.csv", "b.txt", ".hidden.csv", "x/c.csv", "x/y/d.csv", "x/y/e[1].csv", ".git/f.csv", "x/.g/h.csv"]
CASES = {
    "a.csv": ["a.csv"],
    "*.csv": ["a.csv", "b.csv"],
    "?.csv": ["a.csv", "b.csv"],
    "[ac].csv": ["a.csv"],
    "[!a].csv": ["b.csv"],
    "*/*.csv": ["x/c.csv"],
    "**/*.csv": ["a.csv", "b.csv", "x/c.csv", "x/y/d.csv", "x/y/e[1].csv"],
    "x/**/d.csv": ["x/y/d.csv"],
    "x/**": ["x/c.csv", "x/y/d.csv", "x/y/e[1].csv"],
    "**/y/*": ["x/y/d.csv", "x/y/e[1].csv"],
    ".*.csv": [".hidden.csv"],
    ".git/*": [".git/f.csv"],
    "x/y/e[1].csv": ["x/y/e[1].csv"],
    "x/y/e[[]1].csv": ["x/y/e[1].csv"],
    "*.CSV": [],
    "a.csv/*": [],
    "nowhere/*": [],
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in TREE:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"n\n{name}\n")
    return tmp_path


def names(**keys: Any) -> list[str]:
    return [each["n"] for each in read(format="csv", allow_no_files=True, **keys).data]


@pytest.mark.parametrize(("pattern", "expected"), CASES.items())
def test_a_pattern_matches(tree: Path, pattern: str, expected: list[str]) -> None:
    assert names(path=pattern) == expected, "below the working directory"
    assert names(path=f"{tree}/{pattern}") == expected, "below the root"


@pytest.mark.parametrize(("pattern", "expected"), CASES.items())
def test_an_object_store_has_the_same_rules(pattern: str, expected: list[str]) -> None:
    matches = path_matcher(pattern).fullmatch
    if pattern != "x/y/e[1].csv":  # without wildcards elsewhere, this is a name there, too
        assert sorted(name for name in TREE if matches(name)) == expected
    assert all(name.startswith(fixed_prefix(pattern)) for name in expected if "[1]" not in pattern)


def test_a_file_of_two_paths_is_read_once(tree: Path) -> None:
    assert names(path=["b*", "*.csv", "a.csv"]) == ["a.csv", "b.csv", "b.txt"]


def test_a_link_to_a_file_is_a_file_and_a_loop_of_folders_ends(tree: Path) -> None:
    (tree / "x" / "loop").symlink_to(tree / "x")
    (tree / "x" / "z.csv").symlink_to(tree / "a.csv")
    assert names(path="x/**/*.csv") == ["x/c.csv", "x/y/d.csv", "x/y/e[1].csv", "a.csv"]


@pytest.mark.parametrize("path", ["no.csv", "*.none"])
def test_a_path_that_matches_nothing_is_an_error(tree: Path, path: str) -> None:
    expected = f"no file matches {path}; if that is right"
    assert source(path=["a.csv", path]).check_connection()[1].startswith(expected)
    with pytest.raises(SourceConnectionError, match=r"set source\.allow_no_files"):
        read(path=["a.csv", path])
    assert source(path=path, allow_no_files=True).check_connection() == (True, None)
    assert read(path=path, allow_no_files=True).ids == []


def test_a_folder_is_not_a_file(tree: Path) -> None:
    assert source(path=f"{tree}/x/").check_connection() == (
        False,
        f"{tree}/x/ is not a file; for the files of a folder write {tree}/x/*",
    )


def test_a_path_that_cannot_be_read_says_so(tree: Path) -> None:
    for path in ("a.csv/b.csv", "x" * 300):
        assert f"file {path} cannot be read" in source(path=path).check_connection()[1]


def test_small_files_make_one_page(tree: Path) -> None:
    for number in range(100):
        (tree / f"n{number:02}.csv").write_text(f"n\n{number}\n")
    assert len(read(path="n*.csv").frames) == 1
    found = read(path="n*.csv", piece_size=100)
    assert 10 < len(found.frames) < 100
    assert [each["n"] for each in found.data] == [str(number) for number in range(100)]


def test_a_page_has_a_hundred_files_at_most(tree: Path) -> None:
    """A run can stop between two pages only."""
    for number in range(250):
        (tree / f"n{number:03}.csv").write_text("n\n1\n")
    assert [frame.height for frame in read(path="n*.csv").frames] == [100, 100, 50]


def test_a_name_that_is_not_text_is_an_error(tree: Path) -> None:
    """It could not be in a checkpoint."""
    Path(os.fsdecode(b"a\xff.csv")).write_text("n\n1\n")
    with pytest.raises(SourceConnectionError, match="is not valid UTF-8: rename it"):
        read(path="*.csv")
