"""Inferred columns in BigQuery: names, types, JSON that stays as it is, and the forms in which rows are sent."""

import json
from decimal import Decimal
from typing import Any

import pytest
from destinations import rows_of
from google.api_core import exceptions
from google.cloud.bigquery import SchemaField
from google.cloud.bigquery_storage_v1 import types

from bizon.common.errors.errors import DestinationError
from bizon.connectors.destinations.bigquery.src.config import BigQueryConfigDetails
from bizon.connectors.destinations.bigquery.src.growth import grown, retyped
from bizon.connectors.destinations.bigquery.src.inferred_tables import InferredTables
from bizon.connectors.destinations.bigquery.src.inferred_types import BIGNUMERIC, DECIMALS, NUMERIC, field_of, kind_of
from bizon.connectors.destinations.bigquery.src.json_limits import json_misfits
from bizon.connectors.destinations.bigquery.src.planning import NAMES
from bizon.connectors.destinations.bigquery.src.typed_values import TypedRows, lines
from bizon.connectors.destinations.bigquery_streaming.src.typed_insert_rows import typed_rows
from bizon.connectors.destinations.bigquery_streaming_v2.src.stream_opening import opened
from bizon.connectors.destinations.bigquery_streaming_v2.src.typed_messages import TypedMessages
from bizon.destination.column_names import NameRefusedError
from bizon.destination.column_types import INT64, TEXT, decimal
from bizon.destination.models import BatchRange

TABLE = "p.d.items"
KEYS = {"project_id": "p", "dataset_id": "d", "gcs_buffer_bucket": "b", "destination_id": "items", "unnest": True}
DIGITS = "12345678901234567890123456789012345678"


def tables_of(**keys: Any) -> InferredTables:
    return InferredTables(BigQueryConfigDetails(**KEYS, **keys), lambda table: None)


def typed(*texts: str, there: tuple[SchemaField, ...] = (), **keys: Any) -> TypedRows:
    """The rows of these records in a new table."""
    import polars as pl

    tables = tables_of(**keys)
    tables.see(TABLE, None)
    frame = rows_of([{}] * len(texts)).with_columns(source_data=pl.Series(texts))
    return tables.typed(TABLE, frame, lambda: there)


def kinds(rows: TypedRows) -> dict[str, str]:
    return {name: str(kind) for name, kind in rows.kinds.items() if not name.startswith(("_bizon_", "_source_"))}


def rescued(rows: TypedRows) -> list[Any]:
    return [text and json.loads(text, parse_float=Decimal) for text in rows.frame["_bizon_rescued"]]


class TestNames:
    @pytest.mark.parametrize("key", ["a", "_a1", "A_b", "a" * 300, "select"])
    def test_a_name_that_bigquery_takes_stays(self, key: str) -> None:
        assert NAMES.name((key,)) == NAMES.key(key) == key

    @pytest.mark.parametrize(
        ("key", "start"), [("order id", "order_id_"), ("é", "__"), ("2nd", "_2nd_"), ("a" * 301, "a" * 289 + "_")]
    )
    def test_another_is_made_of_letters_digits_and_underscores_with_a_hash(self, key: str, start: str) -> None:
        name = NAMES.name((key,))
        assert name.startswith(start)
        assert len(name) <= 300
        assert name.isascii()
        assert name.isidentifier()
        assert NAMES.key(name) is None, "other keys might have this name"

    def test_keys_that_differ_in_a_forbidden_character_have_columns_of_their_own(self) -> None:
        assert len({NAMES.name((key,)) for key in ("a.b", "a,b", "a b", "a_b")}) == 4

    @pytest.mark.parametrize(
        "key", ["_PARTITIONDATE", "_table_x", "_FILE_NAME", "__root__a", "_CHANGE_TYPE", "_Row_Timestamp"]
    )
    def test_names_that_bigquery_keeps_for_itself_are_rescued(self, key: str) -> None:
        with pytest.raises(NameRefusedError, match="keeps names with this beginning"):
            NAMES.name((key,))
        rows = typed(json.dumps({key: 1, "a": 2}))
        assert (kinds(rows), rescued(rows)) == ({"a": "int64"}, [{key: 1}])

    def test_snake_case_needs_no_hash(self) -> None:
        assert kinds(typed('{"OrderId":1,"order-date":"2024-01-01"}', naming="snake_case")) == {
            "order_id": "int64",
            "order_date": "date",
        }


class TestDecimals:
    @pytest.mark.parametrize(
        ("texts", "kind"),
        [
            (["18446744073709551616", "1"], NUMERIC),
            (["0.25", "9007199254740993"], NUMERIC),
            ([DIGITS[:29]], NUMERIC),
            ([DIGITS[:30]], BIGNUMERIC),
            (["1." + DIGITS[:29]], BIGNUMERIC),
            ([DIGITS, "0." + DIGITS], BIGNUMERIC),
        ],
    )
    def test_the_narrowest_that_holds_all_digits(self, texts: list[str], kind: Any) -> None:
        rows = typed(*(f'{{"a":{text}}}' for text in texts))
        assert kinds(rows) == {"a": str(kind)}
        assert rescued(rows) == [None] * len(texts)
        assert [Decimal(value) for value in rows.frame["a"]] == [Decimal(text) for text in texts]

    @pytest.mark.parametrize(
        ("first", "second", "kind"),
        [
            ("1", DIGITS[:20], NUMERIC),
            ("1", "0.5", NUMERIC),
            ("1", DIGITS[:30], BIGNUMERIC),
            (DIGITS[:20], "1e-10", BIGNUMERIC),
            (DIGITS[:20], DIGITS[:30], BIGNUMERIC),
        ],
    )
    def test_a_column_is_widened_to_the_next(self, first: str, second: str, kind: Any) -> None:
        tables = tables_of()
        tables.see(TABLE, None)
        for text in (first, second):
            rows = tables.typed(TABLE, rows_of([json.loads(f'{{"a":{text}}}', parse_float=Decimal)]), tuple)
        assert kinds(rows) == {"a": str(kind)}
        assert Decimal(rows.frame["a"][0]) == Decimal(second)

    def test_a_number_with_more_digits_than_any_is_rescued(self) -> None:
        tables = tables_of()
        tables.see(TABLE, None)
        for text in ("1", "1e-39"):
            rows = tables.typed(TABLE, rows_of([json.loads(f'{{"a":{text}}}', parse_float=Decimal)]), tuple)
        assert (kinds(rows), rescued(rows)) == ({"a": "int64"}, [{"a": Decimal("1e-39")}])

    @pytest.mark.parametrize(
        ("field", "kind"),
        [
            (SchemaField("a", "NUMERIC"), NUMERIC),
            (SchemaField("a", "BIGNUMERIC"), BIGNUMERIC),
            (SchemaField("a", "NUMERIC", precision=10, scale=2), decimal(10, 2)),
            (SchemaField("a", "BIGNUMERIC", precision=40, scale=10), decimal(40, 10)),
            (SchemaField("a", "NUMERIC", precision=10), decimal(10, 0)),
            (SchemaField("a", "INT64"), INT64),
            (SchemaField("a", "STRING", max_length=10), None),
            (SchemaField("a", "STRING", mode="REPEATED"), None),
            (SchemaField("a", "DATETIME"), None),
            (SchemaField("a", "RECORD", fields=[SchemaField("b", "STRING")]), None),
        ],
    )
    def test_the_types_of_a_table(self, field: SchemaField, kind: Any) -> None:
        assert kind_of(field) == kind
        assert kind is None or kind_of(field_of("a", kind)) == kind


class TestJson:
    @pytest.mark.parametrize(
        "text",
        [
            '{"b":[18446744073709551615,-9223372036854775808,0.1,1.10,1e2,5e-324]}',
            '["x",{"a":1},{"a":2}]',
            "[" * 500 + "]" * 500,
            '"' + "[" * 600 + '"',
            "[100000000000000000000]",
        ],
        ids=["numbers", "keys of two objects", "500 levels", "text of brackets", "a float without a point"],
    )
    def test_a_value_that_bigquery_keeps_is_in_its_column(self, text: str) -> None:
        rows = typed(f'{{"a":{text},"b":1}}', '{"a":[]}')
        assert rescued(rows) == [None, None]
        assert json.loads(rows.frame["a"][0]) == json.loads(text)

    @pytest.mark.parametrize(
        "text",
        [
            "[123456789012345678901234567890]",
            '{"b":0.1234567890123456789}',
            "[1e400]",
            '{"b":1,"b":2}',
            '[{"c":{"b":1,"b":1}}]',
            "[" * 501 + "]" * 501,
        ],
        ids=["integer", "fraction", "infinite", "repeated key", "repeated key inside", "501 levels"],
    )
    def test_a_value_that_it_would_change_or_refuse_is_rescued(self, text: str) -> None:
        rows = typed(f'{{"a":{text},"b":1}}', '{"a":[]}')
        assert kinds(rows) == {"a": "json", "b": "int64"}
        assert rows.frame["a"].to_list() == [None, "[]"]
        assert f'{{"a":{text}}}' == rows.frame["_bizon_rescued"][0]

    def test_a_strict_table_refuses_it(self) -> None:
        import polars as pl

        from bizon.common.errors.errors import RowsRejectedError

        tables = tables_of(schema_mode="strict")
        tables.see(TABLE, None)
        first = rows_of([{"a": []}])
        tables.typed(TABLE, first, tuple)
        with pytest.raises(RowsRejectedError) as refusal:
            tables.typed(TABLE, first.with_columns(source_data=pl.lit('{"a":[1e400]}')), tuple)
        assert [*refusal.value.reasons] == [0]

    def test_no_values(self) -> None:
        import polars as pl

        assert json_misfits([], pl.Series([], dtype=pl.String)) == []


RECORD = (
    '{"n":9223372036854775807,"f":-0.0,"t":"a\\"\\n\\u0001\\u00e9","b":true,"d":"0001-01-01",'
    '"m":"0001-01-01T00:00:00.5+00:00","j":{"x":[1.50,\n"y"]},"s":' + DIGITS[:20] + ',"l":' + DIGITS + "}"
)


class TestForms:
    def test_lines_of_a_load_job(self) -> None:
        sent = typed(RECORD, '{"n":null,"j":"text","t":""}', "{}")
        one, two, three = (json.loads(line, parse_float=str) for line in lines(sent).splitlines())
        assert one["_bizon_id"] == "b0"
        assert one["_bizon_loaded_at"] == "2024-01-02T03:04:05.678901Z"
        own = {name: value for name, value in one.items() if not name.startswith(("_bizon_", "_source_"))}
        assert own == {
            "n": "9223372036854775807",
            "f": "-0.0",
            "t": 'a"\n\x01é',
            "b": True,
            "d": "0001-01-01",
            "m": "0001-01-01T00:00:00.500000Z",
            "j": {"x": ["1.50", "y"]},
            "s": DIGITS[:20],
            "l": DIGITS,
        }
        assert {name: value for name, value in two.items() if len(name) == 1} == {"j": "text", "t": ""}
        assert [*three] == [
            *("_bizon_id", "_bizon_extracted_at", "_bizon_loaded_at", "_source_record_id", "_source_timestamp")
        ]

    def test_rows_of_insert_all(self) -> None:
        rows = typed_rows(typed(RECORD, "{}"), rows_of([{}, {}]))
        assert [(row.position, row.id) for row in rows] == [(0, "b0"), (1, "b1")]
        found = rows[0].json
        assert (found["n"], found["s"], found["l"]) == ("9223372036854775807", DIGITS[:20], DIGITS)
        assert json.loads(found["j"]) == {"x": [1.5, "y"]}
        assert "n" not in rows[1].json

    def test_messages_of_storage_write(self) -> None:
        sent = typed(RECORD, "{}")
        fields = [field_of(name, kind) for name, kind in sent.kinds.items()]
        made = TypedMessages([*fields, SchemaField("_bizon_batch", "STRING")], "_bizon_batch")
        one, two = (made.message.FromString(row) for row in made.encode(sent, "mark"))
        assert (one.n, one.s, one.l, one.b, one._bizon_batch) == (2**63 - 1, DIGITS[:20], DIGITS, True, "mark")
        assert (one.d, one.m) == (-719162, -62135596800 * 1_000_000 + 500_000)
        assert json.loads(one.j) == {"x": [1.5, "y"]}
        assert not two.HasField("n")

    def test_some_rows_of_a_batch(self) -> None:
        sent = typed('{"a":1}', '{"a":2}', '{"a":3}')
        some = rows_of([{}, {}, {}])[[0, 2]]
        assert [row.json["a"] for row in typed_rows(sent, some)] == ["1", "3"]


class TestGrowth:
    THERE = (SchemaField("A", "INTEGER", description="mine"), SchemaField("b", "BIGNUMERIC"))

    def test_each_column_has_the_wider_type(self) -> None:
        wanted = [SchemaField("a", "NUMERIC"), SchemaField("b", "INTEGER"), SchemaField("c", "JSON")]
        found = grown(self.THERE, wanted, "items")
        assert [(field.name, field.field_type) for field in found] == [
            ("A", "NUMERIC"),
            ("b", "BIGNUMERIC"),
            ("c", "JSON"),
        ]
        assert found[0].description == "mine"
        assert [field.name for field in retyped(self.THERE, found)] == ["A"]

    def test_types_of_which_neither_holds_the_other(self) -> None:
        with pytest.raises(
            DestinationError, match="column 'A' of table 'items' is INTEGER, which does not take the STRING"
        ):
            grown(self.THERE, [SchemaField("a", "STRING")], "items")

    def test_a_column_of_a_batch_that_does_not_count_keeps_its_type(self) -> None:
        """A start that was frozen, or died, has added it to staging."""
        there = (SchemaField("x", "STRING"), SchemaField("Y", "INTEGER"), SchemaField("z", "INTEGER"))
        rows = typed('{"x":1,"y":2,"z":3}', there=there)
        assert kinds(rows) == {"x": str(TEXT), "Y": "int64", "z": "int64"}
        assert rescued(rows) == [{"x": 1, "y": 2}]

    def test_the_receipt_names_new_and_wider_columns(self) -> None:
        tables = tables_of()
        tables.see(TABLE, None)
        receipts = []
        for number, record in enumerate([{"a": 1}, {"a": 2**64}, {"a": "x", "b": 1}, {"b": 2}]):
            tables.begin_batch(BatchRange(number, number))
            tables.typed(TABLE, rows_of([record]), tuple)
            receipts.append(tables.receipt(TABLE))
        assert receipts == [
            {"columns": {"a": "int64"}},
            {"columns": {"a": str(NUMERIC)}, "widened": {"a": "int64"}},
            {"columns": {"b": "int64"}, "rescued": {"a": 1}},
            {},
        ]

    def test_a_declared_column_is_there_before_the_first_batch(self) -> None:
        schema = {"name": "day", "type": "DATE", "description": "of the order"}
        tables = tables_of(
            schema_mode="evolve", record_schemas=[{"destination_id": "items", "record_schema": [schema]}]
        )
        (found,) = (field for field in tables.target(TABLE).schema if field.name == "day")
        assert (found.field_type, found.description) == ("DATE", "of the order")


class TestSettling:
    FIELDS = (SchemaField("a", "BIGNUMERIC"), SchemaField("b", "STRING"))

    def stream(self, **columns: str) -> types.WriteStream:
        fields = [types.TableFieldSchema(name=name, type_=kind) for name, kind in columns.items()]
        return types.WriteStream(name="s", table_schema=types.TableSchema(fields=fields))

    @pytest.mark.parametrize(
        "late", [{"a": "BIGNUMERIC"}, {"a": "INT64", "b": "STRING"}, {"a": "NUMERIC", "b": "STRING"}]
    )
    def test_a_stream_that_does_not_know_a_column_is_opened_again(self, late: dict[str, str]) -> None:
        answers = iter([self.stream(**late), self.stream(A="BIGNUMERIC", b="STRING", more="INT64")])
        waits: list[float] = []
        assert len(opened(lambda: next(answers), self.FIELDS, waits.append).table_schema.fields) == 3
        assert len(waits) == 1

    def test_one_that_names_no_columns_is_taken(self) -> None:
        assert opened(self.stream, self.FIELDS, pytest.fail).name == "s"

    def test_a_table_that_the_api_does_not_know_yet(self) -> None:
        answers = iter([None, self.stream()])

        def look() -> types.WriteStream:
            found = next(answers)
            if found is None:
                raise exceptions.NotFound("table")
            return found

        assert opened(look, self.FIELDS, lambda _: None).name == "s"

    def test_the_wait_has_an_end(self) -> None:
        waits: list[float] = []
        assert opened(lambda: self.stream(c="STRING"), self.FIELDS, waits.append).name == "s"
        assert 60 < sum(waits) < 180


class TestConfig:
    def test_unnest_without_schemas_infers(self) -> None:
        assert BigQueryConfigDetails(**KEYS).infers
        assert DECIMALS == (NUMERIC, BIGNUMERIC)

    @pytest.mark.parametrize(
        ("column", "why"),
        [
            ({"type": "RECORD", "fields": [{"name": "b", "type": "DATE"}]}, "type RECORD"),
            ({"type": "DATETIME"}, "type DATETIME"),
            ({"type": "GEOGRAPHY"}, "type GEOGRAPHY"),
            ({"type": "DATE", "mode": "REQUIRED"}, "mode REQUIRED"),
            ({"type": "DATE", "mode": "REPEATED"}, "mode REPEATED"),
            ({"type": "DATE", "default_value_expression": "CURRENT_DATE()"}, "`default_value_expression`"),
        ],
    )
    def test_declared_columns_that_inferred_ones_do_not_go_with(self, column: dict[str, Any], why: str) -> None:
        schemas = [{"destination_id": "items", "record_schema": [{"name": "a", **column}]}]
        assert not BigQueryConfigDetails(**KEYS, record_schemas=schemas).infers
        with pytest.raises(ValueError, match=f"column 'a' has {why}, which inferred columns do not go with"):
            BigQueryConfigDetails(**KEYS, record_schemas=schemas, schema_mode="evolve")

    @pytest.mark.parametrize("key", [{"schema_mode": "freeze"}, {"flatten": 1}, {"naming": "snake_case"}])
    def test_keys_of_inferred_columns_need_unnest(self, key: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match="is for inferred columns"):
            BigQueryConfigDetails(**{**KEYS, "unnest": False}, **key)
