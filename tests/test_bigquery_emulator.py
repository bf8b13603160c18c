"""The emulators behave as the tests of the destinations need."""

import io
from typing import TYPE_CHECKING

import polars as pl
import pytest

if TYPE_CHECKING:
    from bigquery import Warehouse


def test_a_load_job_and_a_copy_job_each_run_once(warehouse: "Warehouse") -> None:
    from google.api_core.exceptions import Conflict
    from google.cloud import bigquery

    file = io.BytesIO()
    pl.DataFrame({"id": [1, 2], "name": ["a", "b"]}).write_parquet(file)
    warehouse.storage.bucket(warehouse.bucket).blob("x/1.parquet").upload_from_string(file.getvalue())
    staged, final = (f"test-project.{warehouse.dataset}.{name}" for name in ("staged", "final"))
    config = bigquery.LoadJobConfig(source_format="PARQUET", write_disposition="WRITE_APPEND")
    uri = f"gs://{warehouse.bucket}/x/1.parquet"
    warehouse.client.load_table_from_uri([uri], staged, job_id="load-1", job_config=config).result()
    with pytest.raises(Conflict):
        warehouse.client.load_table_from_uri([uri], staged, job_id="load-1", job_config=config)
    append = bigquery.CopyJobConfig(write_disposition="WRITE_APPEND")
    warehouse.client.copy_table(staged, final, job_id="copy-1", job_config=append).result()
    with pytest.raises(Conflict):
        warehouse.client.copy_table(staged, final, job_id="copy-1", job_config=append)
    assert warehouse.rows("final") == [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]
    assert warehouse.objects() == ["x/1.parquet"]
    assert warehouse.client.get_job("load-1").state == "DONE"
    assert warehouse.table("staged").num_rows == 2
