"""JSON: one array or one object, value by value, with the text of every number."""

import json
from pathlib import Path

import pytest
from connectors.sources.files.files_kit import read

from bizon.common.errors.errors import SourceFetchError

PIECES = [1, 50, 8_388_608]
VALUES = [f'{{"id": {number}, "n": {number}.50, "t": "a[]{{}},\\"\\\\é"}}' for number in range(1, 31)]


def written(path: Path, text: str | bytes) -> str:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


@pytest.mark.parametrize("piece_size", PIECES)
@pytest.mark.parametrize("between", [",", " ,\n  "])
def test_values_of_an_array_keep_their_text(tmp_path: Path, piece_size: int, between: str) -> None:
    path = written(tmp_path / "a.json", f" [ {between.join(VALUES)} ] \n")
    found = read(path=path, id="id", piece_size=piece_size)
    assert found.texts == VALUES
    assert found.ids == [str(number) for number in range(1, 31)]
    assert read(path=path, piece_size=piece_size).ids == [f"{path}#{number}" for number in range(1, 31)]


@pytest.mark.parametrize("piece_size", PIECES)
def test_one_object_is_one_record(tmp_path: Path, piece_size: int) -> None:
    path = written(tmp_path / "a.json", '\ufeff{\n "a": 1.0,\r\n "b": [1,\n2]\n}\n')
    assert read(path=path, piece_size=piece_size).texts == ['{  "a": 1.0,   "b": [1, 2] }']


@pytest.mark.parametrize("text", ["[]", " [ ] "])
@pytest.mark.parametrize("piece_size", PIECES)
def test_an_empty_array_has_no_records(tmp_path: Path, text: str, piece_size: int) -> None:
    assert read(path=written(tmp_path / "a.json", text), piece_size=piece_size).ids == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('[{"a":1},{"a":2}', "after 2 values, is cut off"),
        ('[{"a":1},{"a"', "after 1 values, is cut off"),
        ('{"a":1', "after 0 values, is cut off"),
        ("", "after 0 values, is cut off"),
        ('[{"a":1}{"a":2}]', "there must be a comma"),
        ('[{"a":1},]', "not valid JSON"),
        ('[{"a":1}] x', "is followed by more text"),
        ('{"a":1} {"a":2} ', "is followed by more text"),
        ('[{"a":NaN},{"a":"long enough"}]', "NaN is not a number"),
        ('[{"a":\'1\'},{"a":"long enough to be sure"}]', "not valid JSON"),
        ("7", "it must be one array or one object"),
        (b'[{"a":"\xff"}]', "is not valid utf-8 at byte 7"),
    ],
)
@pytest.mark.parametrize("piece_size", PIECES)
def test_text_that_is_not_json_is_an_error(tmp_path: Path, text: str | bytes, reason: str, piece_size: int) -> None:
    path = written(tmp_path / "a.json", text)
    with pytest.raises(SourceFetchError, match=reason) as found:
        read(path=path, format="json", piece_size=piece_size)
    assert path in str(found.value)


def test_a_value_that_is_not_an_object_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "a.json", '[{"a":1}, 1234567, "x", null, [1], {"a":2}]')
    for piece_size in range(1, 50):
        found = read(path=path, piece_size=piece_size)
        assert found.data == [{"a": 1}, {"a": 2}]
        assert found.reasons[0] == f"{path}, value 2 is not a record: it is not a JSON object"
        assert [each["line"] for each in found.refused] == ["1234567", '"x"', "null", "[1]"]


def test_a_value_that_is_too_long_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bizon.connectors.sources.files.src.content.LONGEST_RECORD", 50)
    path = written(tmp_path / "a.json", json.dumps([{"a": 1}, {"a": "x" * 100}]))
    with pytest.raises(SourceFetchError, match=r"after 1 values, .* raise source\.piece_size"):
        read(path=path, piece_size=5)


def test_lines_of_objects_in_a_file_named_json(tmp_path: Path) -> None:
    """Many programs name NDJSON so, bizon among them."""
    long = json.dumps({"a": "x" * 100_000})
    for text, records in (('{"a":1}\n{"a":2}\n', 2), (f"{long}\n{long}\n", 2), ('{"a":1}\n', 1), (long, 1)):
        assert len(read(path=written(tmp_path / "a.json", text)).data) == records


def test_other_encodings(tmp_path: Path) -> None:
    for encoding in ("cp1252", "utf-16"):
        path = written(tmp_path / "a.json", '[{"n":"Zoë"},{"n":"ß"}]'.encode(encoding))
        assert read(path=path, encoding=encoding, piece_size=3).data == [{"n": "Zoë"}, {"n": "ß"}]


def test_the_path_is_added(tmp_path: Path) -> None:
    path = written(tmp_path / "a.json", '[{"a":1.0}]')
    assert read(path=path, include_path=True).texts == [f'{{"_file_path":"{path}","_file_name":"a.json","a":1.0}}']


def test_a_format_that_is_not_clear_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceFetchError, match=r"set source\.format"):
        read(path=written(tmp_path / "a.dat", "a,b\n1,2\n"))
    assert read(path=written(tmp_path / "b", '[{"a":1}]')).data == [{"a": 1}]
    assert read(path=written(tmp_path / "c", '{"a":1}\n{"a":2}\n')).data == [{"a": 1}, {"a": 2}]
