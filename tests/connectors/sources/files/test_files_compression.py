"""Compression: by the first bytes; an archive that is cut off or damaged is an error, never an end."""

import bz2
import gzip
import lzma
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from connectors.sources.files.files_kit import read

from bizon.common.errors.errors import MissingDependencyError, SourceFetchError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

WAYS = {"gzip": gzip.compress, "zstd": zstd.compress, "bzip2": bz2.compress, "xz": lzma.compress}
TEXTS = [f'{{"n":{number},"t":"{"x" * (number % 50)}"}}' for number in range(2000)]
Way = Callable[[bytes], bytes]


def lines(first: int = 0, last: int = 2000) -> bytes:
    return "".join(f"{text}\n" for text in TEXTS[first:last]).encode()


def written(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return str(path)


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("piece_size", [1000, 8_388_608])
def test_an_archive_is_recognised_by_its_bytes(tmp_path: Path, name: str, piece_size: int) -> None:
    path = written(tmp_path / "a.jsonl", WAYS[name](lines()))
    assert read(path=path, piece_size=piece_size).texts == TEXTS


@pytest.mark.parametrize("suffix", ["gz", "zst", "bz2", "xz"])
def test_the_format_is_named_before_the_compression(tmp_path: Path, suffix: str) -> None:
    way = dict(zip(("gz", "zst", "bz2", "xz"), WAYS.values(), strict=True))[suffix]
    assert read(path=written(tmp_path / f"a.csv.{suffix}", way(b"a,b\n1,2\n"))).data == [{"a": "1", "b": "2"}]


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("between", [b"", b"\0" * 512])
def test_members_follow_each_other(tmp_path: Path, name: str, between: bytes) -> None:
    way = WAYS[name]
    data = way(lines(0, 700)) + between + way(b"") + way(lines(700)) + between
    assert read(path=written(tmp_path / "a.jsonl.gz", data), piece_size=1000).texts == TEXTS


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("cut", [1, 5, 0.5, 0.9])
def test_an_archive_that_is_cut_off_is_an_error(tmp_path: Path, name: str, cut: float) -> None:
    data = WAYS[name](lines())
    short = data[:-cut] if isinstance(cut, int) else data[: int(len(data) * cut)]
    path = written(tmp_path / "a.jsonl", short)
    with pytest.raises(SourceFetchError, match=rf"{path} is cut off: its {name} archive has no end"):
        read(path=path, piece_size=1000)


@pytest.mark.parametrize("name", WAYS)
def test_a_second_member_that_is_cut_off_is_an_error(tmp_path: Path, name: str) -> None:
    data = WAYS[name](lines(0, 700)) + WAYS[name](lines(700))[:-3]
    with pytest.raises(SourceFetchError, match="is cut off"):
        read(path=written(tmp_path / "a.jsonl", data), piece_size=1000)


@pytest.mark.parametrize("name", WAYS)
def test_a_damaged_archive_is_an_error(tmp_path: Path, name: str) -> None:
    data = bytearray(WAYS[name](lines()))
    data[len(data) // 2] ^= 0xFF
    if name == "zstd":  # not every writer adds a checksum
        data = bytearray(zstd.compress(lines(), options={zstd.CompressionParameter.checksum_flag: 1}))
        data[-1] ^= 0xFF
    path = written(tmp_path / "a.jsonl", bytes(data))
    with pytest.raises(SourceFetchError, match=rf"{path} is damaged"):
        read(path=path, piece_size=1000)


@pytest.mark.parametrize("name", WAYS)
def test_rubbish_after_an_archive_is_an_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(SourceFetchError, match="is damaged"):
        read(path=written(tmp_path / "a.jsonl", WAYS[name](lines()) + b"rubbish that is no member"))


@pytest.mark.parametrize("data", [b"", b"\x1f", b'{"a":1}\n'])
def test_a_file_that_is_only_named_like_an_archive_is_an_error(tmp_path: Path, data: bytes) -> None:
    path = written(tmp_path / "a.jsonl.gz", data)
    with pytest.raises(SourceFetchError, match="does not begin like it"):
        read(path=path)
    assert read(path=written(tmp_path / "a.jsonl.gz", b'{"a":1}\n'), compression="none").data == [{"a": 1}]


@pytest.mark.parametrize("name", WAYS)
def test_an_archive_of_nothing_is_empty(tmp_path: Path, name: str) -> None:
    assert read(path=written(tmp_path / "a.jsonl", WAYS[name](b""))).ids == []
    with pytest.raises(SourceFetchError, match="is cut off"):
        read(path=written(tmp_path / "a.jsonl", b""), compression=name)


def test_zstd_without_its_package_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "a.jsonl", zstd.compress(lines()))
    monkeypatch.setitem(sys.modules, "compression" if sys.version_info >= (3, 14) else "backports", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'bizon\[zstd\]'"):
        read(path=path)


@pytest.mark.parametrize("name", WAYS)
def test_a_run_resumes_inside_of_an_archive(tmp_path: Path, name: str) -> None:
    path = written(tmp_path / "a.jsonl", WAYS[name](lines(0, 900)) + WAYS[name](lines(900)))
    whole = read(path=path, piece_size=5000)
    middle = len(whole.paginations) // 2
    rest = read(whole.paginations[middle], path=path, piece_size=5000)
    assert rest.ids == [each for frame in whole.frames[middle + 1 :] for each in frame["id"]]
