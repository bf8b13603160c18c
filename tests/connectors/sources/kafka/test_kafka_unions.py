"""Avro unions in JSON: a value names its branch when it does not show it by itself."""

import json
from io import BytesIO
from typing import Any

import fastavro
import pytest

from bizon.connectors.sources.kafka.src.unions import parsed_with_branches

PLACED = {"type": "record", "name": "Placed", "namespace": "shop", "fields": [{"name": "order", "type": "long"}]}
CANCELLED = {**PLACED, "name": "Cancelled"}
KIND = {"type": "enum", "name": "Kind", "symbols": ["A"]}
MOMENT = {"type": "long", "logicalType": "timestamp-millis"}
MAP = {"type": "map", "values": "long"}


def read(schema: Any, value: Any) -> Any:
    """The JSON of a value that was written with the schema."""
    text = json.dumps(schema)
    data = BytesIO()
    fastavro.schemaless_writer(data, fastavro.parse_schema(json.loads(text)), value)
    data.seek(0)
    found = fastavro.schemaless_reader(data, parsed_with_branches(json.loads(text)), None)
    assert not data.read()
    return found


@pytest.mark.parametrize(
    ("union", "value", "shown"),
    [
        ([PLACED, CANCELLED], ("shop.Placed", {"order": 7}), {"shop.Placed": {"order": 7}}),
        ([PLACED, CANCELLED], ("shop.Cancelled", {"order": 7}), {"shop.Cancelled": {"order": 7}}),
        (["null", PLACED, CANCELLED], None, None),
        ([PLACED, MAP], {"a": 1}, {"map": {"a": 1}}),
        (["string", KIND], ("Kind", "A"), {"Kind": "A"}),
        (["string", "bytes", "long"], b"A", {"bytes": b"A"}),
        (["string", "bytes", "long"], 5, {"long": 5}),
        (["string", MOMENT], "x", {"string": "x"}),
    ],
)
def test_a_value_names_its_branch_where_two_would_look_the_same(union: Any, value: Any, shown: Any) -> None:
    assert read(union, value) == shown
    field = {"type": "record", "name": "R", "fields": [{"name": "f", "type": union}]}
    assert read(field, {"f": value}) == {"f": shown}
    assert read({"type": "array", "items": union}, [value]) == [shown]


@pytest.mark.parametrize(
    ("union", "value"),
    [(["null", PLACED], {"order": 7}), (["null", "long", "double", "string"], 5), (["null", "boolean", KIND], "A")],
)
def test_a_value_that_can_be_one_branch_alone_stays_bare(union: Any, value: Any) -> None:
    assert read(union, value) == value


def test_records_that_hold_themselves_are_marked_at_every_depth() -> None:
    tree = {"name": "next", "type": ["null", "Placed", "Cancelled"]}
    fields = [{"name": "order", "type": "long"}]
    schema = [{**CANCELLED, "fields": fields}, {**PLACED, "fields": [*fields, tree]}]
    value = (
        "shop.Placed",
        {"order": 1, "next": ("shop.Placed", {"order": 2, "next": ("shop.Cancelled", {"order": 3})})},
    )
    assert read(schema, value) == {
        "shop.Placed": {"order": 1, "next": {"shop.Placed": {"order": 2, "next": {"shop.Cancelled": {"order": 3}}}}}
    }
