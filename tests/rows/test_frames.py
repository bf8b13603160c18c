"""The two frames in which records travel."""

import json
import math
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import orjson
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bizon.rows.frames import (
    DESTINATION_COLUMNS,
    SOURCE_SCHEMA,
    RecordError,
    SourcePage,
    empty_source_frame,
    encode_data,
    records_to_frame,
    to_destination_frame,
)
from bizon.source.models import SourceRecord

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)

plain_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=20,
)


def page(*records: SourceRecord) -> pl.DataFrame:
    return records_to_frame(list(records), NOW)


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), plain_json))
def test_plain_data_is_encoded_exactly_as_orjson_does(data: dict[str, object]) -> None:
    assert encode_data(data) == orjson.dumps(data)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2**70, "1180591620717411303424"),
        (-(2**70), "-1180591620717411303424"),
        (Decimal("1.10"), "1.10"),
        (Decimal("NaN"), "null"),
        (math.nan, "null"),
        (math.inf, "null"),
        (datetime(2026, 1, 2, tzinfo=UTC), '"2026-01-02T00:00:00+00:00"'),
        (UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        ((1, 2), "[1,2]"),
        ("a\ud800b", '"a\ufffdb"'),
        ("\ud83d\ude00", '"😀"'),
        ("nul \x00 byte", '"nul \\u0000 byte"'),
        ({2: "a", None: "b", True: "c"}, '{"2":"a","null":"b","true":"c"}'),
        ({2**70: "big key"}, '{"1180591620717411303424":"big key"}'),
        ({"k\ud800": 2**70}, '{"k\ufffd":1180591620717411303424}'),
    ],
)
def test_values_beyond_plain_json_are_encoded_as_documented(value: object, text: str) -> None:
    assert encode_data({"v": value}).decode() == f'{{"v":{text}}}'


def test_a_page_becomes_a_source_frame() -> None:
    aware = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    frame = page(
        SourceRecord(id=7, data={"é": "😀"}, timestamp=aware, destination_id="t"),
        SourceRecord(id="x", data={}, timestamp=datetime(2026, 1, 1)),
        SourceRecord(id="y", data={}),
    )
    assert frame.schema == SOURCE_SCHEMA
    assert frame.rows() == [
        ("7", '{"é":"😀"}', datetime(2026, 1, 1, 10, tzinfo=UTC), "t"),
        ("x", "{}", datetime(2026, 1, 1, tzinfo=UTC), None),
        ("y", "{}", NOW, None),
    ]


def test_an_empty_page_has_the_same_shape() -> None:
    assert page().schema == SOURCE_SCHEMA
    assert page().equals(empty_source_frame())


@pytest.mark.lesson("F-48")
def test_a_value_that_is_not_json_names_record_and_place() -> None:
    with pytest.raises(RecordError, match=r"record '2': data\.a\[1\]\.b: .*bytes"):
        page(SourceRecord(id=1, data={}), SourceRecord(id=2, data={"a": [0, {"b": b"raw"}]}))


@pytest.mark.lesson("F-48")
def test_anything_but_a_record_is_refused_with_its_position() -> None:
    with pytest.raises(RecordError, match="record 1 of the page is a dict, not a SourceRecord"):
        records_to_frame([SourceRecord(id=1, data={}), {"id": 2}], NOW)  # type: ignore[list-item]


def test_an_id_that_is_not_unicode_is_repaired() -> None:
    assert page(SourceRecord(id="a\ud800", data={}))["id"].to_list() == ["a\ufffd"]


@pytest.mark.parametrize("bad", [1.5, None, b"x"])
@pytest.mark.lesson("F-48")
def test_an_id_must_be_text_or_an_integer(bad: object) -> None:
    with pytest.raises(TypeError, match=r"SourceRecord\.id must be a string or an integer"):
        SourceRecord(id=bad, data={})  # type: ignore[arg-type]


@pytest.mark.lesson("F-48")
def test_data_must_be_a_dict_and_the_error_shows_no_value() -> None:
    with pytest.raises(TypeError, match="of record '1' must be a dict, not list"):
        SourceRecord(id=1, data=["secret"])  # type: ignore[arg-type]


@pytest.mark.lesson("F-47")
def test_each_record_without_a_timestamp_is_stamped_when_it_is_made_not_at_import() -> None:
    before = datetime.now(UTC)
    assert before <= SourceRecord(id=1, data={}).timestamp <= datetime.now(UTC)


def test_a_destination_frame_has_the_documented_columns_and_times() -> None:
    loaded = NOW + timedelta(seconds=1)
    frame = to_destination_frame([SourcePage(0, NOW, page(SourceRecord(id=1, data={"a": 1})))], "job", loaded)
    assert frame.columns == [*DESTINATION_COLUMNS, "destination_id"]
    row = frame.row(0, named=True)
    assert row["bizon_extracted_at"] == NOW
    assert row["bizon_loaded_at"] == loaded
    assert row["source_record_id"] == "1"
    assert json.loads(row["source_data"]) == {"a": 1}


def ids(job_id: str, iteration: int, *records: SourceRecord) -> list[str]:
    return to_destination_frame([SourcePage(iteration, NOW, page(*records))], job_id, NOW)["bizon_id"].to_list()


@given(
    pages=st.lists(st.lists(st.sampled_from(["a", "b", "0-a"]), max_size=4), min_size=1, max_size=5),
    first=st.integers(0, 1000),
)
def test_pages_together_give_the_same_rows_as_each_alone(pages: list[list[str]], first: int) -> None:
    moments = [NOW + timedelta(seconds=number) for number in range(len(pages))]
    frames = [page(*(SourceRecord(id=name, data={}) for name in names)) for names in pages]
    several = [SourcePage(first + n, moments[n], frame) for n, frame in enumerate(frames)]
    together = to_destination_frame(several, "job", NOW)
    assert together.equals(pl.concat([to_destination_frame([each], "job", NOW) for each in several]))
    assert together["bizon_extracted_at"].to_list() == [moments[n] for n, names in enumerate(pages) for _ in names]


def test_the_same_record_of_the_same_page_gets_the_same_id_whatever_its_position() -> None:
    first = ids("job", 3, SourceRecord(id="a", data={}), SourceRecord(id="b", data={}))
    again = ids("job", 3, SourceRecord(id="b", data={}), SourceRecord(id="a", data={}))
    assert sorted(first) == sorted(again)
    assert first[0] == again[1]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["j1", "j2"]),
            st.integers(0, 30),
            st.text(st.characters(exclude_categories=["Cs"]), max_size=3),
        ),
        max_size=30,
        unique=True,
    )
)
def test_ids_of_different_jobs_pages_or_records_differ(keys: list[tuple[str, int, str]]) -> None:
    made = [ids(job, iteration, SourceRecord(id=record, data={}))[0] for job, iteration, record in keys]
    assert len({*made}) == len(keys)


def test_a_record_id_that_repeats_in_a_page_gets_two_ids() -> None:
    made = ids("job", 0, *(SourceRecord(id=name, data={}) for name in ("a", "a", "b", "0-a", "1-a")))
    assert len(set(made)) == 5


def test_text_that_is_not_utf_8_is_repaired_like_a_lone_surrogate() -> None:
    assert page(SourceRecord(id=1, data={"a": orjson.Fragment(b'"x\xff"')}))["data"].to_list() == ['{"a":"x\ufffd"}']
