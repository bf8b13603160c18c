"""CSV: every value stays text, and a broken line costs that line."""

import csv
import io
from pathlib import Path
from typing import Any

import matrices
import polars as pl
import pytest
from connectors.sources.files.files_kit import read
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bizon.common.errors.errors import SourceFetchError
from bizon.rows.frames import RecordError

PIECES = [1, 20, 8_388_608]
ANY_VALUE = st.text(st.sampled_from('ab7"",;\n\r é\0'), max_size=6)


def written(path: Path, text: str | bytes) -> str:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


@pytest.mark.parametrize("piece_size", PIECES)
def test_values_stay_text(tmp_path: Path, piece_size: int) -> None:
    path = written(tmp_path / "a.csv", 'id,n,e\n007,1.50,\n008,NULL,""\n 9 ,true,#\n')
    found = read(path=path, piece_size=piece_size)
    assert found.data == [
        {"id": "007", "n": "1.50", "e": ""},
        {"id": "008", "n": "NULL", "e": ""},
        {"id": " 9 ", "n": "true", "e": "#"},
    ]
    assert found.ids == [f"{path}#1", f"{path}#2", f"{path}#3"]


@pytest.mark.parametrize("piece_size", PIECES)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_fields_in_quotes(tmp_path: Path, piece_size: int, end: str) -> None:
    lines = ["a,b", '"two', 'lines, ""quoted""",x', 'y,"1,2"', '"",""']
    found = read(path=written(tmp_path / "a.csv", end.join(lines)), piece_size=piece_size)
    assert found.data == [
        {"a": f'two{end}lines, "quoted"', "b": "x"},
        {"a": "y", "b": "1,2"},
        {"a": "", "b": ""},
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("1", "it has 1 fields, and there are 2 columns"),
        ("1,2,3", "it has 3 fields, and there are 2 columns"),
        ('1,5" pipe', "a quote is inside of a field without quotes"),
        ('1,a "b" c', "a quote is inside of a field without quotes"),
        ('"1"x,2', "after a field in quotes comes more text"),
        ('1,"2', "a quote is never closed"),
        ('"1,2', "a quote is never closed"),
    ],
)
@pytest.mark.parametrize("blank", ["", "\n"])
@pytest.mark.parametrize("piece_size", PIECES)
def test_a_broken_line_costs_that_line(tmp_path: Path, line: str, reason: str, piece_size: int, blank: str) -> None:
    path = written(tmp_path / "a.csv", f'a,b\n"x\ny",0\n{blank}{line}\nlast,9\n')
    number = 4 + len(blank)
    found = read(path=path, piece_size=piece_size)
    assert found.data == [{"a": "x\ny", "b": "0"}, {"a": "last", "b": "9"}]
    assert found.reasons == [f"{path}, line {number} is not a record: {reason}"]
    assert found.refused == [{"file": path, "line_number": number, "line": line}]
    with pytest.raises(RecordError, match=f"line {number}"):
        read(path=path, piece_size=piece_size, refuse=False)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_an_empty_line_is_not_a_record_and_an_empty_field_in_quotes_is(tmp_path: Path, end: str) -> None:
    path = written(tmp_path / "a.csv", end.join(["a", "1", "", '""', "2", ""]))
    assert [each["a"] for each in read(path=path).data] == ["1", "", "2"]


@pytest.mark.parametrize("piece_size", PIECES)
def test_a_quote_that_closes_in_a_later_line_costs_its_own_line(tmp_path: Path, piece_size: int) -> None:
    path = written(tmp_path / "a.csv", 'a,b\n1,"open\n2,x\n3,"y"\n4,z\n')
    found = read(path=path, piece_size=piece_size)
    assert [each["a"] for each in found.data] == ["2", "3", "4"]
    assert found.reasons == [f"{path}, line 2 is not a record: after a field in quotes comes more text"]


def test_bytes_that_are_not_text_cost_their_line(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", b"a,b\n1,\xff\n2,ok\n")
    found = read(path=path)
    assert found.data == [{"a": "2", "b": "ok"}]
    assert found.reasons == [f"{path}, line 2 is not a record: it is not valid utf-8"]
    assert found.refused[0]["line_base64"] == "MSz/"


def test_a_quote_that_stays_open_for_long_costs_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bizon.connectors.sources.files.src.content.LONGEST_RECORD", 40)
    path = written(tmp_path / "a.csv", 'a,b\n1,"open\n' + "2,x\n" * 30)
    found = read(path=path, piece_size=5)
    assert found.data == [{"a": "2", "b": "x"}] * 30
    assert "line 2 is not a record: a quote is not closed within 40 bytes" in found.reasons[0]


def test_a_line_that_is_too_long_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It used to be tempting to take its first bytes for the whole."""
    monkeypatch.setattr("bizon.connectors.sources.files.src.content.LONGEST_RECORD", 40)
    path = written(tmp_path / "a.csv", "a,b\n1,2\n3," + "x" * 100 + "\n")
    with pytest.raises(SourceFetchError, match="line 3 has over 40 bytes"):
        read(path=path, piece_size=5)


@pytest.mark.parametrize(
    "keys", [{"delimiter": ";"}, {"delimiter": "|", "quote": "'"}, {"delimiter": "\t", "quote": None}]
)
@pytest.mark.parametrize("piece_size", PIECES)
def test_other_delimiters_and_quotes(tmp_path: Path, keys: dict[str, Any], piece_size: int) -> None:
    mark, quote = keys["delimiter"], keys.get("quote", '"')
    value = f"{quote}v{mark}{quote}" if quote else '"v'
    path = written(tmp_path / "a.csv", f"a{mark}b\n1{mark}{value}\n")
    expected = {"a": "1", "b": f"v{mark}" if quote else '"v'}
    assert read(path=path, piece_size=piece_size, **keys).data == [expected]


def test_a_block_that_the_quick_way_reads_otherwise_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = pl.read_csv
    monkeypatch.setattr(pl, "read_csv", lambda *block, **keys: usual(*block, **keys)[:-1])
    path = written(tmp_path / "a.csv", "a\n1\n2\n")
    assert read(path=path).data == [{"a": "1"}, {"a": "2"}]


def test_a_tsv_file_has_tabs(tmp_path: Path) -> None:
    assert read(path=written(tmp_path / "a.tsv", "a\tb\n1\t2,3\n")).data == [{"a": "1", "b": "2,3"}]


def test_names_of_columns(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", '\ufeff"the ""id""",,c\r\n1,2,3\r\n')
    assert read(path=path).data == [{'the "id"': "1", "column_2": "2", "c": "3"}]
    assert read(path=path, columns=["x", "y", "z"]).data == [{"x": "1", "y": "2", "z": "3"}]
    assert len(read(path=path, header=False).data) == 2
    assert read(path=path, header=False).data[1] == {"column_1": "1", "column_2": "2", "column_3": "3"}
    assert read(path=path, header=False, columns=["x", "y", "z"]).data[1] == {"x": "1", "y": "2", "z": "3"}


@pytest.mark.parametrize(
    ("text", "keys", "reason"),
    [
        ("a,b,a\n1,2,3\n", {}, "two columns are named 'a'"),
        ('a,"b\n1,2\n', {}, "its header is not a record"),
        ("a,b\n1,2\n", {"id": "c"}, "has no column 'c' of source.id, it has: a, b"),
        ("_file_name,b\n1,2\n", {"include_path": True}, "it has a field '_file_name'"),
    ],
)
def test_a_header_that_cannot_be_used_is_an_error(tmp_path: Path, text: str, keys: dict[str, Any], reason: str) -> None:
    with pytest.raises(SourceFetchError, match=reason):
        read(path=written(tmp_path / "a.csv", text), **keys)


@pytest.mark.parametrize("text", ["", "a,b\n", "a,b", "\n\n", "a,b\n\n\n"])
def test_a_file_without_records(tmp_path: Path, text: str) -> None:
    assert read(path=written(tmp_path / "a.csv", text)).ids == []


@pytest.mark.parametrize("piece_size", PIECES)
def test_ids_from_columns(tmp_path: Path, piece_size: int) -> None:
    path = written(tmp_path / "a.csv", "k,n\nx,1\ny,\nx,2\n")
    assert read(path=path, id="k", piece_size=piece_size).ids == ["x", "y", "x"]
    found = read(path=path, id=["k", "n"], piece_size=piece_size)
    assert found.ids == ['["x","1"]', f"{path}#2", '["x","2"]']
    assert found.reasons == [f"{path}, row 2 has no 'k' to identify it by"]


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "gbk", "latin-1"])
@pytest.mark.parametrize("piece_size", PIECES)
def test_other_encodings(tmp_path: Path, encoding: str, piece_size: int) -> None:
    value = "日本" if encoding == "gbk" else "Zoë ß"
    path = written(tmp_path / "a.csv", f'a,b\n{value},"1\n2"\nx,{value}\n'.encode(encoding))
    found = read(path=path, encoding=encoding, piece_size=piece_size)
    assert found.data == [{"a": value, "b": "1\n2"}, {"a": "x", "b": value}]


def test_the_path_comes_first(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", "a\n1\n")
    assert read(path=path, include_path=True).texts == [f'{{"_file_path":"{path}","_file_name":"a.csv","a":"1"}}']


@settings(max_examples=matrices.examples(100), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.integers(1, 3).flatmap(lambda width: st.lists(st.lists(ANY_VALUE, min_size=width, max_size=width), max_size=8)),
    st.integers(1, 40),
    st.booleans(),
)
@example([["\r", ""], ["", "\n"]], 1, True)
@example([[""], ["a"], [""]], 100, False)
def test_every_text_of_a_writer_is_read_back(
    tmp_path: Path, rows: list[list[str]], piece_size: int, quotes_all: bool
) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_ALL if quotes_all else csv.QUOTE_MINIMAL)
    writer.writerows([["a", "b", "c"][: len(rows[0]) if rows else 1], *rows])
    found = read(path=written(tmp_path / "a.csv", text.getvalue()), piece_size=piece_size)
    assert [list(each.values()) for each in found.data] == rows
    assert found.reasons == []


@settings(max_examples=matrices.examples(100), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["a", "a,b"]), st.text(st.sampled_from('a"",\n\r'), max_size=30))
@example("a,b", "\r,\na")
@example("a,b", '"",\n"a"b,\n')
@example("a,b", '"a\n,"\r\nb,')
def test_pieces_of_any_size_give_the_same_records(tmp_path: Path, header: str, text: str) -> None:
    """The quick way and the slow way agree on every text, broken or not."""
    path = written(tmp_path / "a.csv", f"{header}\n{text}")
    whole = read(path=path)
    for piece_size in (1, 3, 7):
        found = read(path=path, piece_size=piece_size)
        assert (found.data, found.reasons) == (whole.data, whole.reasons)
