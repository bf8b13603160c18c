"""An existing table belongs to its owner: a run changes its rows, and nothing that the owner has set."""

from typing import TYPE_CHECKING, Any

import pytest
from connectors.destinations.bigquery import test_bigquery_unnest as loads
from connectors.destinations.bigquery_streaming_v2 import test_v2 as v2
from connectors.destinations.test_bigquery_changed_tables import Configure
from destinations import open_destination, publish, resumed, rows_of, write
from google.cloud.bigquery import SchemaField

from bizon.common.errors.errors import DestinationError, FinalizeError
from bizon.connectors.destinations.bigquery.src.merging import merged
from bizon.connectors.destinations.bigquery.src.publish import Staged, publishing
from bizon.connectors.destinations.bigquery.src.schema import declared_schema
from bizon.connectors.destinations.bigquery_streaming_v2.src.messages import BATCH
from bizon.destination.models import ResumePoint

if TYPE_CHECKING:
    from bigquery import Warehouse

STAGED = pytest.mark.parametrize("config_of", [loads.config_of, v2.config_of], ids=["bigquery", "v2"])
COLUMNS: list[dict[str, Any]] = [{"name": "id", "type": "INTEGER"}, {"name": "email", "type": "STRING"}]
LAYOUTS: dict[str, dict[str, Any]] = {
    "time": {"timePartitioning": {"type": "MONTH", "field": "day", "expirationMs": "2592000000"}},
    "range": {"rangePartitioning": {"field": "id", "range": {"start": "0", "end": "100", "interval": "10"}}},
    "none": {},
}
FIELDS: list[dict[str, Any]] = [
    {"name": "id", "type": "INTEGER", "mode": "REQUIRED", "description": "the number"},
    {"name": "Email", "type": "STRING", "policyTags": {"names": ["projects/p/locations/us/taxonomies/1/policyTags/2"]}},
    {"name": "day", "type": "DATE", "defaultValueExpression": "CURRENT_DATE()"},
    {"name": "price", "type": "NUMERIC", "precision": "10", "scale": "2", "roundingMode": "ROUND_HALF_EVEN"},
]
OWNERS: dict[str, Any] = {
    "description": "people of the shop",
    "friendlyName": "People",
    "requirePartitionFilter": True,
    "clustering": {"fields": ["id"]},
    "expirationTime": "4102444800000",
    "encryptionConfiguration": {"kmsKeyName": "projects/p/locations/us/keyRings/r/cryptoKeys/k"},
    "tableConstraints": {"primaryKey": {"columns": ["id"]}},
    "maxStaleness": "0-0 0 4:0:0",
    "defaultRoundingMode": "ROUND_HALF_EVEN",
}


def make(warehouse: "Warehouse", layout: str) -> dict[str, Any]:
    """A table as its owner has set it up, with a row; the API's description of it."""
    tables = f"/projects/{warehouse.project}/datasets/{warehouse.dataset}/tables"
    reference = {"projectId": warehouse.project, "datasetId": warehouse.dataset, "tableId": "items"}
    table = {"tableReference": reference, "schema": {"fields": FIELDS}, "labels": {"team": "crm"}}
    body = {**OWNERS, **LAYOUTS[layout], **table}
    warehouse.client._connection.api_request(method="POST", path=tables, data=body)
    warehouse.ask(f"INSERT INTO `{warehouse.project}.{warehouse.dataset}.items` (id, Email) VALUES (99, 'old')")
    return told(warehouse)


def told(warehouse: "Warehouse", name: str = "items") -> dict[str, Any]:
    path = f"/projects/{warehouse.project}/datasets/{warehouse.dataset}/tables/{name}"
    found = warehouse.client._connection.api_request(method="GET", path=path)
    kept = (*OWNERS, "timePartitioning", "rangePartitioning", "schema", "labels")
    labels = {key: value for key, value in found.get("labels", {}).items() if not key.startswith("bizon_")}
    return {name: found.get(name) for name in kept} | {"labels": labels}


def load(config: Any, mode: str, records: list[dict[str, Any]]) -> None:
    with open_destination(config, mode) as destination:
        assert destination.check_connection()
        destination.prepare(ResumePoint(destination.sync_metadata.job_id, has_history=True, adopt=True))
        publish(destination, write(destination, rows_of(records)))


def emails(warehouse: "Warehouse") -> list[tuple[int, str]]:
    """Ids and emails of the rows, listed: a query would need a filter."""
    table = warehouse.client.get_table(f"{warehouse.project}.{warehouse.dataset}.items")
    return sorted((int(row["id"]), row["Email"]) for row in warehouse.client.list_rows(table))


@STAGED
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_full_refresh_changes_rows_and_nothing_else(
    warehouse: "Warehouse", config_of: Configure, layout: str
) -> None:
    before = make(warehouse, layout)
    for email in ("a@example.com", "b@example.com"):
        load(config_of(warehouse, COLUMNS), "full_refresh", [{"id": 1, "email": email}])
        assert told(warehouse) == before
        assert emails(warehouse) == [(1, email)]
    assert warehouse.tables() == ["items"]


@STAGED
def test_appending_changes_nothing_else_either(warehouse: "Warehouse", config_of: Configure) -> None:
    before = make(warehouse, "time")
    load(config_of(warehouse, COLUMNS), "incremental", [{"id": 1, "email": "a@example.com"}])
    assert told(warehouse) == before
    assert emails(warehouse) == [(1, "a@example.com"), (99, "old")]


@STAGED
def test_staging_hides_and_encrypts_what_the_table_does_and_nothing_expires_in_it(
    warehouse: "Warehouse", config_of: Configure
) -> None:
    final = make(warehouse, "time")
    with open_destination(config_of(warehouse, COLUMNS)) as destination:
        destination.prepare(ResumePoint(destination.sync_metadata.job_id, adopt=True))
        staged = told(warehouse, "items_temp")
    fields = [field for field in staged["schema"]["fields"] if field["name"] != BATCH]
    assert fields == final["schema"]["fields"]
    assert staged["encryptionConfiguration"] == final["encryptionConfiguration"]
    assert staged["timePartitioning"] == {"type": "MONTH", "field": "day"}
    assert staged["requirePartitionFilter"] is None


@STAGED
def test_a_mode_that_the_configuration_leaves_open_stays(warehouse: "Warehouse", config_of: Configure) -> None:
    """A record without a value is refused by name; it would fail the whole job later."""
    make(warehouse, "none")
    with open_destination(config_of(warehouse, COLUMNS)) as destination:
        destination.prepare(ResumePoint(destination.sync_metadata.job_id, adopt=True))
        with pytest.raises(DestinationError, match="record '0' of 'items': column 'id' is REQUIRED"):
            destination.write_records(rows_of([{"email": "a@example.com"}]))


@STAGED
def test_a_table_whose_columns_have_other_types_is_not_replaced(warehouse: "Warehouse", config_of: Configure) -> None:
    make(warehouse, "none")
    columns = [{"name": "id", "type": "STRING"}]
    with (
        open_destination(config_of(warehouse, columns)) as destination,
        pytest.raises(DestinationError, match="column 'id' of table 'items' is INTEGER, record_schemas says STRING"),
    ):
        destination.prepare(ResumePoint(destination.sync_metadata.job_id, adopt=True))
    assert emails(warehouse) == [(99, "old")]


@STAGED
def test_a_replacement_that_fails_half_way_leaves_the_old_rows(
    warehouse: "Warehouse", config_of: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The statement that fills the table fails after the one that empties it; the next run publishes."""
    make(warehouse, "none")
    config = config_of(warehouse, COLUMNS)
    with open_destination(config) as destination:
        job = destination.sync_metadata.job_id
        destination.prepare(ResumePoint(job, adopt=True))
        batch = write(destination, rows_of([{"id": 1, "email": "new"}]))
        destination.verify([batch])
        with monkeypatch.context() as patch:
            patch.setattr(
                "bizon.connectors.destinations.bigquery.src.staged_destination.publishing",
                lambda *args, **how: publishing(*args, **how).replace("; COMMIT", " AND ERROR('no') = 'no'; COMMIT"),
            )
            with pytest.raises(FinalizeError, match="was not replaced"):
                destination.finalize()
        assert emails(warehouse) == [(99, "old")]
    with open_destination(config, job_id=job) as destination:
        destination.prepare(resumed(job, batch, exhausted=True))
        publish(destination, batch)
    assert emails(warehouse) == [(1, "new")]


def test_publishing_is_one_transaction_of_statements_that_keep_the_table() -> None:
    """The emulator does not show what BigQuery loses by CREATE OR REPLACE, WRITE_TRUNCATE or a copy job."""
    count = "ASSERT (SELECT COUNT(*) FROM `s` WHERE TRUE) = 7 AS 'staging was changed since it was verified'; "
    insert = "INSERT INTO `p.d.t` (`a`, `b`) SELECT `a`, `b` FROM `s` WHERE TRUE; COMMIT TRANSACTION;"
    staged = Staged("s", [SchemaField("a", "STRING"), SchemaField("b", "STRING")], 7)
    assert publishing("p.d.t", staged, replaces=True) == (f"BEGIN TRANSACTION; {count}TRUNCATE TABLE `p.d.t`; {insert}")
    assert publishing("p.d.t", staged, replaces=False) == f"BEGIN TRANSACTION; {count}{insert}"


def test_attributes_of_a_field_survive_when_columns_are_added() -> None:
    there = [SchemaField.from_api_repr(field) for field in FIELDS]
    wanted = declared_schema([])
    kept = merged(there, [*wanted, SchemaField("more", "STRING")], "items")
    assert [field.to_api_repr() for field in kept[1:4]] == FIELDS[1:]
