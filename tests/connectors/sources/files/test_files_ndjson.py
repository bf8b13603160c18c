"""NDJSON: lines are passed on as they are, and a line that is not a record is refused with its file and number."""

import json
from pathlib import Path

import polars as pl
import pytest
from connectors.sources.files.files_kit import read

from bizon.rows.frames import RecordError

LINES = [f'{{"id": {number}, "name":"n{number}", "big":{10**25 + number}, "f": 1.50}}' for number in range(1, 51)]


def written(path: Path, text: str | bytes) -> str:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


@pytest.mark.parametrize("piece_size", [1, 100, 8_388_608])
def test_lines_keep_every_byte(tmp_path: Path, piece_size: int) -> None:
    path = written(tmp_path / "a.jsonl", "\n".join(LINES))
    found = read(path=path, id="id", piece_size=piece_size)
    assert found.texts == LINES
    assert found.ids == [str(number) for number in range(1, 51)]


def test_the_default_id_is_path_and_line(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", '{"a":1}\n\n{"a":2}\n')
    assert read(path=path).ids == [f"{path}#1", f"{path}#3"]


@pytest.mark.parametrize("piece_size", [1, 8_388_608])
def test_blank_lines_crlf_and_a_byte_order_mark_are_not_records(tmp_path: Path, piece_size: int) -> None:
    text = '\ufeff{"a":1}\r\n  \r\n\r\n {"a":2} \r\n{"a":3}'
    path = written(tmp_path / "a.ndjson", text)
    found = read(path=path, piece_size=piece_size)
    assert found.texts == ['{"a":1}', '{"a":2}', '{"a":3}']
    assert found.ids == [f"{path}#1", f"{path}#4", f"{path}#5"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"a":1', "not valid JSON"),
        (b'{"a":1}{"a":2}', "not valid JSON"),
        (b'{"a":NaN}', "NaN is not a number"),
        (b"[1]", "not a JSON object"),
        (b"half a line", "not valid JSON"),
        (b'{"a":"\xff"}', "not valid utf-8"),
        (b'{"a":"tab\there"}', "not valid JSON"),
        (b'{"a":' + b"[" * 5000 + b"}", "nested too deeply"),
    ],
)
@pytest.mark.parametrize("piece_size", [1, 8_388_608])
def test_a_broken_line_is_refused_with_its_file_and_number(
    tmp_path: Path, line: bytes, reason: str, piece_size: int
) -> None:
    path = written(tmp_path / "a.jsonl", b'{"a":0}\n\n' + line + b'\n{"a":2}\n')
    found = read(path=path, piece_size=piece_size)
    assert found.data == [{"a": 0}, {"a": 2}]
    assert len(found.reasons) == 1
    assert found.reasons[0].startswith(f"{path}, line 3 is not a record: ")
    assert reason in found.reasons[0]
    assert found.refused[0]["line_number"] == 3
    assert found.refused[0].get("line", line.decode("latin-1")) == line.decode("latin-1")
    with pytest.raises(RecordError, match="line 3"):
        read(path=path, piece_size=piece_size, refuse=False)


def test_the_bytes_of_a_line_that_is_not_text_are_kept(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", b'{"a":"\xff"}\n')
    assert read(path=path).refused == [{"file": path, "line_number": 1, "line_base64": "eyJhIjoi/yJ9"}]


@pytest.mark.parametrize("line", ['{"ix":"y"}', '{"id":null}', '{"id":""}'])
def test_a_record_without_its_id_is_refused(tmp_path: Path, line: str) -> None:
    path = written(tmp_path / "a.jsonl", f'{{"id":"x"}}\n{line}\n')
    found = read(path=path, id="id")
    assert found.ids == ["x", f"{path}#2"]
    assert found.reasons == [f"{path}, line 2 is not a record: it has no 'id' to identify it by"]


@pytest.mark.parametrize(
    ("value", "id_"),
    [
        ("7", "7"),
        ('"007"', "007"),
        ("1.50", "1.50"),
        ("12345678901234567890123", "12345678901234567890123"),
        ("true", "true"),
        ('{"b": 1.0}', '{"b":"1.0"}'),
        ('"a\\u0000b"', "a\0b"),
        ('"\\u00e9"', "é"),
    ],
)
@pytest.mark.parametrize("neighbour", ["", "broken\n"])
def test_an_id_is_the_text_that_was_sent(tmp_path: Path, value: str, id_: str, neighbour: str) -> None:
    path = written(tmp_path / "a.jsonl", f'{neighbour}{{"id":{value}}}\n')
    assert read(path=path, id="id").ids[-1] == id_


def test_an_id_of_several_fields(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", '{"a":"x","b":1}\n{"a":"x\\",\\"1","b":2}\n')
    assert [json.loads(each) for each in read(path=path, id=["a", "b"]).ids] == [["x", "1"], ['x","1', "2"]]


def test_other_encodings(tmp_path: Path) -> None:
    line = '{"name":"Zoë € ß"}'
    for encoding in ("cp1252", "utf-16", "utf-16-le", "utf-32", "utf-8-sig", "shift_jis"):
        text = '{"name":"日本"}' if encoding == "shift_jis" else line
        path = written(tmp_path / "a.jsonl", f"{text}\n{text}\n".encode(encoding))
        assert read(path=path, encoding=encoding, piece_size=5).texts == [text, text], encoding


def test_a_line_that_is_too_long_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "a.jsonl", '{"a":1}\n{"a":"' + "x" * 100 + '"}\n')
    monkeypatch.setattr("bizon.connectors.sources.files.src.content.LONGEST_RECORD", 50)
    assert len(read(path=path, piece_size=20).data) == 2
    with pytest.raises(Exception, match=r"line 2 has .*raise source\.piece_size"):
        read(path=path, piece_size=5)


def test_the_path_is_added_before_the_fields(tmp_path: Path) -> None:
    folder = tmp_path / "day=2024-01-01" / "region=eu"
    folder.mkdir(parents=True)
    path = written(folder / "a.jsonl", '{"a": 1.0}\n{ }\n')
    added = {"_file_path": path, "_file_name": "a.jsonl", "_file_day": "2024-01-01", "_file_region": "eu"}
    found = read(path=path, include_path=True)
    assert found.data == [{**added, "a": 1.0}, added]
    assert found.texts[0].endswith(',"a": 1.0}')


def test_a_record_with_a_field_that_the_path_adds_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", '{"_file_name":"mine"}\n{"x":"\\"_file_name"}\n')
    found = read(path=path, include_path=True)
    assert [each["x"] for each in found.data] == ['"_file_name']
    assert "it has a field '_file_name'" in found.reasons[0]


def test_a_block_that_polars_reads_otherwise_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = pl.read_ndjson
    monkeypatch.setattr(pl, "read_ndjson", lambda *text, **keys: usual(*text, **keys)[:-1])
    path = written(tmp_path / "a.jsonl", '{"id":"1"}\n{"id":"2"}\n')
    assert read(path=path, id="id").ids == ["1", "2"]
    assert read(path=path).ids == [f"{path}#1", f"{path}#2"]


def test_an_empty_file_has_no_records(tmp_path: Path) -> None:
    assert read(path=written(tmp_path / "a.jsonl", "")).ids == []
