"""Tables of BigQuery that a pipeline did not write are left alone; several pipelines may share one on purpose."""

from typing import TYPE_CHECKING, Any

import pytest
from connectors.destinations.bigquery import test_bigquery_faults as loads
from connectors.destinations.bigquery_streaming import test_streaming as streaming
from connectors.destinations.bigquery_streaming_v2 import test_v2 as v2
from destinations import open_destination, publish, rows_of, write

from bizon.common.errors.errors import DestinationConnectionError, FinalizeError, RowsRejectedError
from bizon.destination.models import ResumePoint

if TYPE_CHECKING:
    from collections.abc import Callable

    from bigquery import Warehouse

    Configure = Callable[..., Any]

STAGED = pytest.mark.parametrize("config_of", [loads.config_of, v2.config_of], ids=["bigquery", "v2"])
EVERY = pytest.mark.parametrize(
    "config_of", [loads.config_of, streaming.config_of, v2.config_of], ids=["bigquery", "streaming", "v2"]
)
MODES = pytest.mark.parametrize(("mode", "suffix"), [("full_refresh", "temp"), ("incremental", "incremental")])


def make(warehouse: "Warehouse", name: str, labels: dict[str, str] | None = None, *, rows: bool = True) -> None:
    """Somebody's table."""
    from google.cloud import bigquery

    fields = [bigquery.SchemaField("_source_record_id", "STRING")]
    table = bigquery.Table(f"{warehouse.project}.{warehouse.dataset}.{name}", schema=fields)
    table.labels = labels or {}
    warehouse.client.create_table(table)
    if rows:
        warehouse.ask(f"INSERT INTO `{warehouse.dataset}.{name}` (_source_record_id) VALUES ('theirs')")


def load(config: Any, mode: str, number: int, name: str = "pipe", **resume: Any) -> None:
    with open_destination(config, mode, name=name) as destination:
        assert destination.check_connection()
        destination.prepare(ResumePoint(destination.sync_metadata.job_id, **resume))
        publish(destination, write(destination, rows_of([{"n": number}], first=number)))


def ids(warehouse: "Warehouse", name: str = "items") -> list[str]:
    return sorted(row["_source_record_id"] for row in warehouse.rows(name))


@STAGED
@MODES
def test_a_staging_name_that_is_taken_is_an_error_that_names_the_key(
    warehouse: "Warehouse", config_of: "Configure", mode: str, suffix: str
) -> None:
    make(warehouse, f"items_{suffix}")
    with pytest.raises(DestinationConnectionError, match=rf"items_{suffix}'.*somebody else's.*`staging_table`"):
        load(config_of(warehouse), mode, 1)
    assert ids(warehouse, f"items_{suffix}") == ["theirs"]
    load(config_of(warehouse, staging_table="waiting"), mode, 1)
    assert ids(warehouse, f"items_{suffix}") == ["theirs"]
    assert ids(warehouse) == ["1"]
    assert warehouse.tables() == ["items", f"items_{suffix}"]


@STAGED
def test_staging_of_another_pipeline_is_named_by_its_owner(warehouse: "Warehouse", config_of: "Configure") -> None:
    """Two pipelines that append to one table at the same time: the second one stops before it fetches anything."""
    with open_destination(config_of(warehouse), "incremental", name="east") as east:
        east.prepare(ResumePoint(east.sync_metadata.job_id))
        batch = write(east, rows_of([{"n": 1}], first=1))
        with pytest.raises(DestinationConnectionError, match=r"pipeline 'east' .*`staging_table`"):
            load(config_of(warehouse), "incremental", 2, name="west")
        publish(east, batch)
    assert ids(warehouse) == ["1"]


@STAGED
def test_two_pipelines_share_a_table_that_each_adopts(warehouse: "Warehouse", config_of: "Configure") -> None:
    config = config_of(warehouse, staging_table="west")
    with open_destination(config, "incremental", name="west") as west:
        west.prepare(ResumePoint(west.sync_metadata.job_id))
        batch = write(west, rows_of([{"n": 2}], first=2))
        load(config_of(warehouse), "incremental", 1, name="east")
        with pytest.raises(FinalizeError, match=r"another pipeline of bizon writes it.*--adopt"):
            publish(west, batch)
    load(config, "incremental", 3, name="west", adopt=True)
    load(config, "incremental", 4, name="west")
    load(config_of(warehouse), "incremental", 5, name="east")
    assert ids(warehouse) == ["1", "3", "4", "5"]
    with pytest.raises(DestinationConnectionError, match="rows of another pipeline too"):
        load(config_of(warehouse), "full_refresh", 6, name="east")


@EVERY
@pytest.mark.parametrize("mode", ["full_refresh", "incremental", "stream"])
def test_a_table_with_rows_that_bizon_did_not_write(warehouse: "Warehouse", config_of: "Configure", mode: str) -> None:
    config = config_of(warehouse)
    make(warehouse, "items")
    with pytest.raises(DestinationConnectionError, match=r"items' has rows that pipeline 'pipe' .*--adopt"):
        load(config, mode, 1)
    assert ids(warehouse) == ["theirs"]
    load(config, mode, 1, adopt=True)
    load(config, mode, 2, has_history=True)
    replaced = mode == "full_refresh" and config_of is not streaming.config_of
    assert ids(warehouse) == (["2"] if replaced else ["1", "2", "theirs"])


@EVERY
@pytest.mark.parametrize("mode", ["full_refresh", "stream"])
def test_an_empty_table_is_taken(warehouse: "Warehouse", config_of: "Configure", mode: str) -> None:
    """Many make it themselves, with partitions and policy tags."""
    make(warehouse, "items", {"team": "crm"}, rows=False)
    load(config_of(warehouse), mode, 1)
    assert ids(warehouse) == ["1"]
    assert warehouse.table("items").labels["team"] == "crm"


@STAGED
def test_a_table_of_an_older_release_is_recognised_by_its_label(warehouse: "Warehouse", config_of: "Configure") -> None:
    with open_destination(config_of(warehouse)) as destination:
        mark = destination.sync_metadata.owner.mark  # type: ignore[attr-defined]
    make(warehouse, "items", {"bizon_pipeline": mark})
    load(config_of(warehouse), "full_refresh", 1)
    assert ids(warehouse) == ["1"]


@STAGED
def test_a_table_that_is_not_staging_is_never_taken_for_it(warehouse: "Warehouse", config_of: "Configure") -> None:
    """The pipeline has published it, under another destination_id."""
    load(config_of(warehouse, destination_id="items_temp"), "full_refresh", 1)
    with pytest.raises(DestinationConnectionError, match="not a staging table of this pipeline"):
        load(config_of(warehouse), "full_refresh", 2)
    assert ids(warehouse, "items_temp") == ["1"]


@EVERY
@pytest.mark.parametrize(
    "named",
    ["other.items", "elsewhere.{dataset}.items", "items_temp", "items$20240101", "a`b", "", ".", "a.b.c.d", "x" * 1025],
)
def test_a_record_may_not_name_a_table_elsewhere(warehouse: "Warehouse", config_of: "Configure", named: str) -> None:
    before = warehouse.tables()
    with open_destination(config_of(warehouse), "stream") as destination:
        destination.prepare(ResumePoint("job"))
        destination.destination_id = named.format(dataset=warehouse.dataset)
        with pytest.raises(RowsRejectedError, match="destination_id '") as raised:
            destination.write_records(rows_of([{"n": 1}, {"n": 2}]))
    assert sorted(raised.value.reasons) == [0, 1]
    assert warehouse.tables() == before


@EVERY
def test_a_record_names_a_table_of_the_dataset_in_each_way(warehouse: "Warehouse", config_of: "Configure") -> None:
    make(warehouse, "theirs")
    with open_destination(config_of(warehouse), "stream") as destination:
        destination.prepare(ResumePoint("job"))
        for number, prefix in enumerate(("", f"{warehouse.dataset}.", f"{warehouse.project}.{warehouse.dataset}.")):
            destination.batch = type(destination.batch)(number, number)
            destination.destination_id = f"{prefix}more"
            assert destination.write_records(rows_of([{"n": number}], first=number)) == (True, None)
        destination.destination_id = "theirs"
        with pytest.raises(RowsRejectedError, match=r"destination_id 'theirs': .* did not write"):
            destination.write_records(rows_of([{"n": 1}]))
    assert ids(warehouse, "more") == ["0", "1", "2"]
    assert ids(warehouse, "theirs") == ["theirs"]
