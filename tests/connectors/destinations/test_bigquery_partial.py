"""A batch of which a part has landed when it is written again, without its refused rows or after an error: every row is
there once."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from connectors.destinations.bigquery_streaming import test_streaming as streaming
from connectors.destinations.bigquery_streaming_v2 import test_v2 as v2
from connectors.destinations.bigquery_streaming_v2.test_v2_faults import THREE, Answers, ok, stream_of
from destinations import open_destination, rows_of
from google.api_core.exceptions import OutOfRange, ServiceUnavailable
from google.cloud.bigquery import Client
from google.cloud.bigquery_storage_v1 import types
from google.rpc import code_pb2

from bizon.common.errors.errors import DestinationWriteError, RowsRejectedError
from bizon.connectors.destinations.bigquery.src.landed import Confirmed, Landed
from bizon.connectors.destinations.bigquery_streaming_v2.src.appends import WriteStream
from bizon.destination.destination import AbstractDestination
from bizon.engine.pipeline.models import ResumePoint
from bizon.rows.rejects import without_refused

if TYPE_CHECKING:
    from bigquery import Warehouse

COLUMNS = [
    {"name": "id", "type": "INTEGER"},
    {"name": "text", "type": "STRING"},
    {"name": "kind", "type": "STRING", "mode": "REQUIRED", "default_value_expression": "'none'"},
]
"""The emulator refuses rows without a kind, which BigQuery would fill in: rows that only BigQuery can refuse."""
WAYS: dict[str, Callable[["Warehouse"], Any]] = {
    "default stream": lambda warehouse: v2.config_of(warehouse, COLUMNS, request_size=0.02),
    "one stream": lambda warehouse: v2.config_of(warehouse, COLUMNS, request_size=0.02, max_concurrent_threads=1),
    "offsets": lambda warehouse: v2.config_of(
        warehouse, COLUMNS, request_size=0.02, use_offsets=True, max_concurrent_threads=2
    ),
    "insertAll": lambda warehouse: streaming.config_of(warehouse, COLUMNS, bq_max_rows_per_request=7),
}


def records(bad: set[int]) -> list[dict[str, Any]]:
    return [{"id": n, "text": "x" * 2_000, **({} if n in bad else {"kind": "k"})} for n in range(40)]


def write_as_the_loader_does(destination: AbstractDestination, rows: pl.DataFrame) -> tuple[list[str], int]:
    """Until nothing is refused any more. The ids that were refused, and how often it was called."""
    refused: list[str] = []
    for calls in range(1, 10):
        try:
            destination.write_records(rows)
        except RowsRejectedError as error:
            rows, out = without_refused(rows, error.reasons)
            refused += out["source_record_id"].to_list()
            rows = rows.select(rows_of([]).columns)
        else:
            return refused, calls
    raise AssertionError("refused again and again")


@pytest.mark.parametrize("bad", [{35}, {0}, {3, 17, 38}, set(range(0, 40, 9))], ids=str)
@pytest.mark.parametrize("way", WAYS)
def test_refused_rows_double_no_other_row(warehouse: "Warehouse", way: str, bad: set[int]) -> None:
    """All of them are named at once; two calls are enough."""
    with open_destination(WAYS[way](warehouse), "stream", "job") as destination:
        destination.prepare(ResumePoint("job"))
        for first in (0, 1_000):  # the next batch has refused rows too
            rows = rows_of(records(bad), first)
            refused, calls = write_as_the_loader_does(destination, rows)
            assert (sorted(map(int, refused)), calls) == ([first + n for n in sorted(bad)], 2)
            destination.batch = type(destination.batch)(1, 1)
    found = sorted(int(row["id"]) for row in warehouse.rows("items"))
    assert found == sorted([n for n in range(40) if n not in bad] * 2)


def test_requests_that_were_inserted_are_not_inserted_again_after_an_error(
    warehouse: "Warehouse", monkeypatch: pytest.MonkeyPatch
) -> None:
    """BigQuery would leave them out for a minute only, and not for sure."""
    sent: list[list[int]] = []
    inner = Client.insert_rows_json

    def flaky(self: Any, table: Any, rows: Any, **how: Any) -> Any:
        sent.append([row["id"] for row in rows])
        if len(sent) == 2:
            raise ServiceUnavailable("gone")
        return inner(self, table, rows, **how)

    monkeypatch.setattr(Client, "insert_rows_json", flaky)
    config = streaming.config_of(warehouse, COLUMNS, bq_max_rows_per_request=2)
    rows = rows_of([{"id": n, "kind": "k"} for n in range(5)])
    with open_destination(config, "stream", "job") as destination:
        destination.prepare(ResumePoint("job"))
        with pytest.raises(DestinationWriteError):
            destination.write_records(rows)
        destination.write_records(rows)
    assert sent == [[0, 1], [2, 3], [2, 3], [4]]


def refusing(index: int, text: str = "no such day") -> types.AppendRowsResponse:
    return types.AppendRowsResponse(
        error={"code": code_pb2.INVALID_ARGUMENT, "message": "see row_errors"},
        row_errors=[{"index": index, "code": 1, "message": text}],
    )


def positions(confirmed: Confirmed) -> list[int]:
    return sorted(position for each in confirmed for position in each)


def default_stream(answers: Answers) -> WriteStream:
    stream = stream_of(answers)
    stream._offset = None
    return stream


def test_requests_appended_after_a_refused_one_are_recorded() -> None:
    """It was appended while the refusal was on its way."""
    confirmed: Confirmed = []
    with pytest.raises(RowsRejectedError) as raised:
        default_stream(Answers([refusing(1), ok(), refusing(0)])).append(THREE, confirmed)
    assert (list(raised.value.reasons), positions(confirmed)) == ([1, 3], [2])


@pytest.mark.parametrize(
    "last", [ok(code_pb2.OUT_OF_RANGE, "offset"), OutOfRange("offset"), ServiceUnavailable("gone")]
)
def test_offsets_close_the_gap_that_a_refused_request_leaves(last: Any) -> None:
    confirmed: Confirmed = []
    answers = Answers([ok(), refusing(0), last], [ok()])
    with pytest.raises(RowsRejectedError) as raised:
        stream_of(answers).append(THREE, confirmed)
    assert (answers.offsets, positions(confirmed)) == ([[0, 2, 3], [2]], [0, 1, 3])
    assert list(raised.value.reasons) == [2]


def test_an_offset_that_is_wrong_for_another_reason_is_an_error() -> None:
    for answer in (ok(code_pb2.OUT_OF_RANGE, "offset"), OutOfRange("offset")):
        with pytest.raises(Exception, match="offset"):
            stream_of(Answers([ok(), answer])).append(THREE, [])


def test_memory_is_of_one_batch_and_names_rows_as_they_were_given() -> None:
    written: list[list[str]] = []

    def append(rows: pl.DataFrame, confirmed: Confirmed) -> None:
        written.append(rows["source_record_id"].to_list())
        if "3" in written[-1]:
            confirmed.append(range(0, 1))
            raise RowsRejectedError({rows["source_record_id"].to_list().index("3"): "no"})

    landed, rows = Landed(), rows_of([{}] * 5)
    for _ in range(2):
        with pytest.raises(RowsRejectedError) as raised:
            landed.write(("t", 1), rows, append)
        assert list(raised.value.reasons) == [3]
    landed.write(("t", 1), rows.filter(pl.col("source_record_id") != "3"), append)
    landed.write(("t", 2), rows[:1], append)
    assert written == [["0", "1", "2", "3", "4"], ["1", "2", "3", "4"], ["2", "4"], ["0"]]


def test_a_connection_that_ends_behind_a_refusal_leaves_the_rest_to_the_next_call() -> None:
    """The later requests had wrong offsets: they were not appended."""
    confirmed: Confirmed = []
    with pytest.raises(RowsRejectedError) as raised:
        stream_of(Answers([ok(), refusing(0)])).append(THREE, confirmed)
    assert (list(raised.value.reasons), positions(confirmed)) == ([2], [0, 1])
