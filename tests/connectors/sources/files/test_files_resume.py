"""A run resumes at the piece it had reached, and never mixes two versions of a file."""

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from connectors.sources.files.files_kit import changed_since, pages, read, source

from bizon.common.errors.errors import SourceFetchError
from bizon.connectors.sources.files.src.local_files import LocalFiles
from bizon.connectors.sources.files.src.storage import ChangedError

ROWS = [{"id": str(number), "text": f'line "{number}"\nand more, é' * (number % 4)} for number in range(300)]


def ndjson(path: Path) -> None:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in ROWS))


def as_json(path: Path) -> None:
    path.write_text(json.dumps(ROWS, indent=1))


def as_csv(path: Path) -> None:
    pl.DataFrame(ROWS).write_csv(path)


def utf16(path: Path) -> None:
    path.write_bytes(pl.DataFrame(ROWS).write_csv().encode("utf-16"))


def parquet(path: Path) -> None:
    pl.DataFrame(ROWS).write_parquet(path, row_group_size=40)


def zipped(path: Path) -> None:
    path.write_bytes(gzip.compress(pl.DataFrame(ROWS).write_csv().encode()))


FORMATS: dict[str, tuple[str, Callable[[Path], None], dict[str, Any]]] = {
    "ndjson": ("a.jsonl", ndjson, {}),
    "json": ("a.json", as_json, {}),
    "csv": ("a.csv", as_csv, {}),
    "utf-16": ("a.csv", utf16, {"encoding": "utf-16"}),
    "gzip": ("a.csv.gz", zipped, {}),
    "parquet": ("a.parquet", parquet, {}),
}


@pytest.fixture(params=FORMATS)
def file(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    name, write, keys = FORMATS[request.param]
    write(tmp_path / name)
    return tmp_path / name, {"path": str(tmp_path / name), "piece_size": 700, "id": "id", **keys}


def test_a_new_source_continues_after_any_page(file: tuple[Path, dict[str, Any]]) -> None:
    _, keys = file
    whole = read(**keys)
    assert whole.data == ROWS
    assert len(whole.frames) > 5
    for number, pagination in enumerate(whole.paginations[:-1], start=1):
        found = read(pagination, **keys)
        assert found.ids == [each for frame in whole.frames[number:] for each in frame["id"]]
        assert len(json.dumps(pagination)) < 1000


@pytest.mark.parametrize("change", ["append", "touch", "replace", "remove"])
@pytest.mark.parametrize("is_resumed", [False, True])
def test_a_file_that_changes_inside_is_an_error(
    file: tuple[Path, dict[str, Any]], change: str, is_resumed: bool
) -> None:
    path, keys = file
    opened = source(**keys)
    following = opened.get({}).next_pagination
    if change == "append":
        path.write_bytes(path.read_bytes() + b"\n")
    elif change == "touch":
        os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
    elif change == "replace":
        path.with_suffix(".new").write_bytes(path.read_bytes())
        os.utime(path.with_suffix(".new"), ns=(0, path.stat().st_mtime_ns + (1 if is_resumed else 0)))
        path.with_suffix(".new").replace(path)
    else:
        path.unlink()
    reader = opened
    if is_resumed:
        keys = {**keys, "allow_no_files": True}
        opened.close()
        reader = source(**keys)
    with pytest.raises(SourceFetchError, match=rf"file {path} (has changed|was removed).*--fresh"):
        reader.get(following)
    reader.close()


@pytest.mark.parametrize("change", [b"longer", b"", b"other "])
def test_bytes_of_another_version_are_never_returned(tmp_path: Path, change: bytes) -> None:
    (tmp_path / "a").write_bytes(b"before")
    files = LocalFiles()
    file = files.open(files.info(str(tmp_path / "a")))
    assert file.read_at(0, 3) == b"bef"
    (tmp_path / "a").write_bytes(change)
    os.utime(tmp_path / "a", ns=(0, file.info.modified.microsecond))
    with pytest.raises(ChangedError):
        file.read_at(3, 3)
    file.close()


def test_a_file_that_changes_while_a_run_resumes_inside_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at its version and the first read."""
    keys = {"path": str(tmp_path / "a.jsonl"), "piece_size": 100}
    (tmp_path / "a.jsonl").write_text('{"a":1}\n' * 100)
    opened = source(**keys)
    following = opened.get({}).next_pagination
    opened.close()
    usual, changes = LocalFiles.open, iter([1])

    def late(self: LocalFiles, info: Any) -> Any:
        for _ in changes:
            (tmp_path / "a.jsonl").write_text('{"a":2}\n' * 101)
        return usual(self, info)

    monkeypatch.setattr(LocalFiles, "open", late)
    resumed = source(**keys)
    with pytest.raises(ChangedError):
        resumed.get(following)
    resumed.close()


def test_a_file_that_was_removed_before_its_turn_is_an_error(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.jsonl").write_text('{"a":1}\n' * 100)
    opened = source(path=str(tmp_path / "*.jsonl"), piece_size=100)
    run = pages(opened)
    next(run)
    (tmp_path / "b.jsonl").unlink()
    with pytest.raises(SourceFetchError, match=r"b\.jsonl was removed"):
        list(run)
    opened.close()


def test_a_file_that_has_changed_before_its_turn_is_read_as_it_is_then_and_again_by_the_next_run(
    tmp_path: Path,
) -> None:
    keys = {"path": str(tmp_path / "*.jsonl"), "piece_size": 100}
    for name in ("a", "b"):
        (tmp_path / f"{name}.jsonl").write_text('{"a":1}\n' * 100)
    opened = source(**keys)
    run = pages(opened)
    _, _, state = next(run)
    (tmp_path / "b.jsonl").write_text('{"a":2}\n')
    rest = [text for frame, _, _ in run for text in frame["data"]]
    assert rest.count('{"a":2}') == 1
    assert len(rest) < 100, "nothing of the older version"
    opened.close()
    again = read(state=changed_since(state), **keys)
    assert again.texts == ['{"a":2}']


def test_a_new_file_before_the_checkpoint_is_left_to_the_next_run(tmp_path: Path) -> None:
    keys = {"path": str(tmp_path / "*.jsonl"), "piece_size": 100}
    (tmp_path / "b.jsonl").write_text('{"b":1}\n' * 100)
    opened = source(**keys)
    _, following, state = next(pages(opened))
    opened.close()
    (tmp_path / "a.jsonl").write_text('{"a":1}\n')
    resumed = read(following, **keys)
    assert '{"a":1}' not in resumed.texts
    assert resumed.state is None, "the state of the first page stays"
    assert read(state=changed_since(state), **keys).texts == ['{"a":1}']
