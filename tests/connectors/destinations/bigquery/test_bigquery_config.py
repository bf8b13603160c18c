"""Configuration of the BigQuery destinations: names, schemas, credentials, and the messages when something is wrong."""

import json
import os
import sys
from typing import Any

import pytest
from destinations import open_destination
from pydantic import ValidationError

from bizon.common.errors.errors import DestinationConnectionError, MissingDependencyError
from bizon.connectors.destinations.bigquery.src.config import BigQueryConfig
from bizon.connectors.destinations.bigquery_streaming.src.config import BigQueryStreamingConfig
from bizon.connectors.destinations.bigquery_streaming_v2.src.config import BigQueryStreamingV2Config

FAMILY = {
    "bigquery": BigQueryConfig,
    "bigquery_streaming": BigQueryStreamingConfig,
    "bigquery_streaming_v2": BigQueryStreamingV2Config,
}


def config_of(name: str = "bigquery", **keys: Any) -> Any:
    bucket = {"gcs_buffer_bucket": "bucket"} if name == "bigquery" else {}
    return FAMILY[name](name=name, config={"project_id": "p", "dataset_id": "d", **bucket, **keys})


def column(**keys: Any) -> dict[str, Any]:
    return {"destination_id": "t", "record_schema": [{"name": "x", "type": "STRING", **keys}]}


@pytest.mark.parametrize("name", FAMILY)
@pytest.mark.parametrize(
    ("destination_id", "table"),
    [("t", "p.d.t"), ("e.t", "p.e.t"), ("q.e.t", "q.e.t"), (None, "p.d._bizon_made_up")],
)
def test_a_table_may_be_named_in_parts(name: str, destination_id: str | None, table: str) -> None:
    with open_destination(config_of(name, destination_id=destination_id)) as destination:
        assert destination.default_destination_id == table


@pytest.mark.parametrize("name", FAMILY)
@pytest.mark.parametrize(
    ("mode", "suffix"), [("full_refresh", "_temp"), ("incremental", "_incremental"), ("stream", "")]
)
def test_rows_wait_in_a_table_named_after_the_sync_mode(name: str, mode: str, suffix: str) -> None:
    with open_destination(config_of(name, destination_id="t"), mode) as destination:
        assert destination.temp_table_id == f"p.d.t{suffix}"  # type: ignore[attr-defined]


def test_a_window_alone_says_how_to_partition() -> None:
    assert config_of(time_partitioning="MONTH").config.time_partitioning.type == "MONTH"
    assert config_of(time_partitioning=None).config.time_partitioning is None


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({"destination_id": "a.b.c.d"}, "must be table, dataset.table or project.dataset.table"),
        ({"destination_id": "a..b"}, "must be table, dataset.table or project.dataset.table"),
        ({"record_schemas": [column(name="1st")]}, "'1st' is not a column name"),
        ({"record_schemas": [column(type="RECORD")]}, "column 'x' of type RECORD needs `fields`"),
        ({"record_schemas": [column(fields=[{"name": "y", "type": "DATE"}])]}, "which only type RECORD has"),
        ({"record_schemas": [{**column(), "clustering_keys": ["y"]}]}, "clustering key 'y' is not a column of 't'"),
        ({"record_schemas": [column(), {**column(), "destination_id": "d.t"}]}, "more than one entry for 'p.d.t'"),
        ({"record_schemas": [column(type="TEXT")]}, "Input should be 'BOOLEAN'"),
        ({"gcs_buffer_format": "csv"}, "Input should be 'parquet'"),
        ({"load_files_per_job": 0}, "greater than or equal to 1"),
    ],
)
def test_a_mistake_is_reported(keys: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        config_of(**keys)


def test_a_column_listed_twice_in_different_case_is_reported() -> None:
    columns = [{"name": "x", "type": "STRING"}, {"name": "X", "type": "DATE"}]
    with pytest.raises(ValidationError, match="column 'X' is listed twice"):
        config_of(record_schemas=[{"destination_id": "t", "record_schema": columns}])


@pytest.mark.parametrize("key", ["no json s3cr3t", json.dumps({"type": "service_account", "private_key": "s3cr3t"})])
def test_an_invalid_key_is_reported_without_showing_it(key: str) -> None:
    config = config_of(authentication={"service_account_key": key})
    with (
        open_destination(config) as destination,
        pytest.raises(DestinationConnectionError, match="is not the JSON of a service account's key") as raised,
    ):
        destination.check_connection()
    assert "s3cr3t" not in str(raised.value)
    assert raised.value.__cause__ is None
    assert "s3cr3t" not in repr(config)


def test_a_machine_without_credentials_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/nonexistent")
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    with (
        open_destination(config_of()) as destination,
        pytest.raises(DestinationConnectionError, match=r"no Google credentials.*gcloud auth application"),
    ):
        destination.check_connection()


def test_a_key_leaves_no_trace_in_files_or_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys used to be written to a file that stayed, and a variable of the process named it."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    from bizon.google.credentials import google_credentials

    made = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    key = {
        "type": "service_account",
        "client_email": "bizon@p.iam.gserviceaccount.com",
        "token_uri": "https://oauth2.googleapis.com/token",
        "private_key": made.decode(),
    }
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setattr("tempfile.mkstemp", lambda *_, **__: pytest.fail("a file was made"))
    found = google_credentials(json.dumps(key), anonymous=False)
    assert found.service_account_email == "bizon@p.iam.gserviceaccount.com"  # type: ignore[attr-defined]
    assert "GOOGLE_APPLICATION_CREDENTIALS" not in os.environ


@pytest.mark.parametrize("name", FAMILY)
def test_without_the_extra_the_error_gives_the_command_that_installs_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in [each for each in sys.modules if each.startswith(f"bizon.connectors.destinations.{name}.src.")]:
        monkeypatch.delitem(sys.modules, module)
    for module in [each for each in sys.modules if each.startswith("bizon.connectors.destinations.bigquery.src.")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "google.cloud.bigquery", None)
    monkeypatch.setitem(sys.modules, "google.cloud", None)
    with (
        pytest.raises(MissingDependencyError, match=r"pip install 'bizon\[bigquery\]'"),
        open_destination(config_of(name)),
    ):
        pass


def test_a_table_of_the_six_columns_may_be_clustered_by_them() -> None:
    schema = {**column(), "clustering_keys": ["_bizon_loaded_at", "x"]}
    assert config_of(record_schemas=[schema])
    with pytest.raises(ValidationError, match="clustering key '_bizon_loaded_at' is not a column of 't'"):
        config_of(record_schemas=[schema], unnest=True)


def test_no_clustering_keys_may_be_an_empty_list() -> None:
    assert config_of(record_schemas=[{**column(), "clustering_keys": []}], unnest=True)


def test_a_destination_has_its_columns_and_clustering_keys_by_table() -> None:
    """As connectors that were written for this interface use them."""
    schemas = [{**column(), "clustering_keys": ["x"]}, {**column(name="y"), "destination_id": "u"}]
    with open_destination(config_of(record_schemas=schemas)) as destination:
        assert [each.name for each in destination.record_schemas["t"]] == ["x"]
        assert [each.name for each in destination.record_schemas["u"]] == ["y"]
        assert destination.clustering_keys == {"t": ["x"], "u": None}
