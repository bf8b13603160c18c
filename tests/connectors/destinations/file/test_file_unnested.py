"""Files of unnested records."""

from pathlib import Path

import polars as pl
import pytest
from connectors.destinations.file.file_runs import Job
from connectors.destinations.file.test_file_unnest import frame_of, schema_of

from bizon.common.errors.errors import DestinationConnectionError, RowsRejectedError


class TestInTheFile:
    SCHEMA = schema_of(when="timestamp", day="date", id="int", name="str", tags="json", score="number", ok="bool")
    RECORD = {
        "id": 7, "name": "é", "tags": {"a": [1]}, "score": 2, "ok": True, "day": "2024-01-02",
        "when": "2024-01-02T03:04:05+01:00",
    }  # fmt: skip

    def job(self, format: str, sync_mode: str = "full_refresh", destination_id: str = "out") -> Job:
        return Job(
            sync_mode=sync_mode,
            config={
                "format": format,
                "unnest": True,
                "destination_id": destination_id,
                "record_schemas": [self.SCHEMA],
            },
        )

    def test_a_line_has_only_the_columns_of_the_schema_in_its_order(self) -> None:
        job = self.job("json")
        destination = job.prepared()
        assert job.write(destination, 0, 0, frame_of(self.RECORD)) == (True, None)
        job.commit(0, 1)
        job.publish(destination)
        assert Path("out.json").read_text() == (
            '{"when":"2024-01-02T02:04:05.000000+00:00","day":"2024-01-02","id":7,"name":"é",'
            '"tags":"{\\"a\\":[1]}","score":2.0,"ok":true}\n'
        )

    def test_parquet_columns_are_typed(self) -> None:
        job = self.job("parquet")
        destination = job.prepared()
        job.write(destination, 0, 0, frame_of(self.RECORD))
        job.commit(0, 1)
        job.publish(destination)
        assert pl.read_parquet("out.parquet").schema == {
            "when": pl.Datetime("us", "UTC"), "day": pl.Date(), "id": pl.Int64(), "name": pl.String(),
            "tags": pl.String(), "score": pl.Float64(), "ok": pl.Boolean(),
        }  # fmt: skip

    @pytest.mark.lesson("F-01")
    def test_no_rows_give_a_parquet_file_with_the_columns(self) -> None:
        self.job("parquet").run([[]])
        assert pl.read_parquet("out.parquet").columns == list(self.RECORD_COLUMNS)

    RECORD_COLUMNS = ("when", "day", "id", "name", "tags", "score", "ok")

    def test_a_misfit_is_an_error_of_the_write_and_writes_nothing(self) -> None:
        job = self.job("json")
        destination = job.prepared()
        with pytest.raises(RowsRejectedError, match="column 'id' of 'out' is integer, record 'r1'"):
            job.write(destination, 0, 0, frame_of(self.RECORD, {"id": "x"}))
        assert not list(Path(".bizon").rglob("0*"))

    def test_the_schema_of_a_file_is_found_with_and_without_extension(self) -> None:
        assert self.job("json", destination_id="out.json").open().check_connection() is True

    def test_a_file_without_a_schema_is_refused_before_anything_is_fetched(self) -> None:
        with pytest.raises(DestinationConnectionError, match="no entry for destination_id 'other', it has: out"):
            self.job("json", destination_id="other").open().check_connection()

    def test_a_routed_file_without_a_schema_is_an_error_of_the_write(self) -> None:
        job = self.job("json", "stream")
        written, reason = job.write(job.prepared(), 0, 0, frame_of(self.RECORD), "other")
        assert written is False
        assert "no entry for destination_id 'other'" in str(reason)
