"""Settings of typed tables: which fit together, and how those that do not are named."""

from typing import Any

import pytest
from pydantic import ValidationError

from bizon.destination.typed_config import TypedTableDetailsConfig

SCHEMA = {"destination_id": "items", "record_schema": [{"name": "id", "type": "int64"}]}


def schema_of(*columns: dict[str, str]) -> dict[str, Any]:
    return {"record_schemas": [{"destination_id": "items", "record_schema": list(columns)}]}


def test_columns_are_the_default_and_need_no_schema() -> None:
    config = TypedTableDetailsConfig()
    assert (config.unnest, config.record_schemas, config.is_merged) == (True, None, False)


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "columns without unnest": ({"unnest": False, "flatten": 1}, "`flatten` needs columns"),
    "merge without unnest": ({"unnest": False, "write_mode": "merge"}, "`write_mode` needs columns"),
    "schemas without unnest": ({"unnest": False, "record_schemas": [SCHEMA]}, "`record_schemas` needs columns"),
    "key without merge": ({"primary_key": ["id"]}, "`primary_key` is for `write_mode: merge`"),
    "version without merge": ({"version": "v"}, "`version` is for `write_mode: merge`"),
    "the same key twice": ({"write_mode": "merge", "primary_key": ["id", "id"]}, "`primary_key` names 'id' twice"),
    "no key": ({"write_mode": "merge", "primary_key": []}, "at least 1 item"),
    "a key without a column": (
        {"write_mode": "merge", "primary_key": ["id", "_bizon_id"]},
        "compared by '_bizon_id': ",
    ),
    "a version without a column": ({"write_mode": "merge", "version": "_source_x"}, "compared by '_source_x': names"),
    "deletes without a field": ({"write_mode": "merge", "deletes": "flag"}, "need `deleted_field`"),
    "tombstones without deletes": ({"write_mode": "merge", "tombstone_days": 7}, "is for `deletes: remove`"),
    "a field without deletes": ({"write_mode": "merge", "deleted_field": "gone"}, "need `deleted_field`"),
    "a table twice": ({"record_schemas": [SCHEMA, SCHEMA]}, "more than one entry for destination_id 'items'"),
    "unknown type": (schema_of({"name": "a", "type": "varchar"}), "column 'a': 'varchar' is not a column type"),
    "reserved name": (schema_of({"name": "_Bizon_id", "type": "text"}), "column '_Bizon_id': names that begin with"),
    "names that differ in case": (
        schema_of({"name": "a", "type": "text"}, {"name": "A", "type": "text"}),
        "column 'A' is listed twice",
    ),
}


@pytest.mark.parametrize(("settings", "message"), FAULTS.values(), ids=FAULTS)
def test_settings_that_do_not_fit_together_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TypedTableDetailsConfig(**settings)


def test_settings_of_columns_may_have_their_default_without_unnest() -> None:
    assert TypedTableDetailsConfig(unnest=False, flatten=0, write_mode="append", verify="none").unnest is False
