"""Requests to BigQuery hold every row once, in order, and keep their bounds."""

from itertools import chain, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bizon.common.errors.errors import RowsRejectedError
from bizon.connectors.destinations.bigquery_streaming.src import insert_rows as streaming
from bizon.connectors.destinations.bigquery_streaming_v2.src import writer

LIMIT = 100  # bytes
SIZES = st.lists(st.integers(min_value=0, max_value=LIMIT - writer._AROUND))
STREAMING_SIZES = st.lists(st.integers(min_value=1, max_value=streaming.ROW_BYTES + 100_000))


@given(SIZES)
def test_messages_by_bytes(sizes: list[int]) -> None:
    rows = [bytes(size) for size in sizes]
    requests = writer.packed(rows, LIMIT)
    assert list(chain.from_iterable(request.rows for request in requests)) == rows
    position = 0
    for request in requests:
        assert (request.first, bool(request.rows)) == (position, True)
        assert sum(len(row) + writer._AROUND for row in request.rows) <= LIMIT
        position += len(request.rows)
    for one, following in pairwise(requests):
        assert sum(len(row) + writer._AROUND for row in [*one.rows, following.rows[0]]) > LIMIT


@given(SIZES, st.integers(min_value=1, max_value=9))
def test_messages_by_bytes_and_number(sizes: list[int], most_rows: int) -> None:
    rows = [bytes(size) for size in sizes]
    requests = writer.packed(rows, LIMIT, most_rows)
    assert list(chain.from_iterable(request.rows for request in requests)) == rows
    assert all(1 <= len(request.rows) <= most_rows for request in requests)


def test_messages_that_are_too_large_are_all_named() -> None:
    with pytest.raises(RowsRejectedError) as raised:
        writer.packed([bytes(200), b"", bytes(300)], LIMIT)
    assert list(raised.value.reasons) == [0, 2]


@given(STREAMING_SIZES, st.integers(min_value=1, max_value=9))
def test_rows_by_bytes_and_number(sizes: list[int], most_rows: int) -> None:
    rows = [streaming.Row(position, f"b{position}", {}, size) for position, size in enumerate(sizes)]
    requests = list(streaming.packed(rows, most_rows))
    assert list(chain.from_iterable(requests)) == [row for row in rows if row.size <= streaming.ROW_BYTES]
    for request in requests:
        assert 1 <= len(request) <= most_rows
        assert sum(row.size for row in request) <= streaming.REQUEST_BYTES
