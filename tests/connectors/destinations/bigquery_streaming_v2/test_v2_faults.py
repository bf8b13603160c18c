"""Storage Write on a bad day: connections that break in the middle, requests that are answered twice, refusals."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from connectors.destinations.bigquery_streaming_v2.test_v2 import config_of
from destinations import open_destination, publish, rows_of, write
from google.cloud.bigquery_storage_v1 import types
from google.rpc import code_pb2
from proxy import Proxy
from stops import error_when_stopped

from bizon.common.errors.errors import DestinationWriteError, RowsRejectedError, StoppedError
from bizon.connectors.destinations.bigquery_streaming_v2.src.answers import Request
from bizon.connectors.destinations.bigquery_streaming_v2.src.appends import WriteStream
from bizon.destination.models import ResumePoint

if TYPE_CHECKING:
    from bigquery import Warehouse

RECORDS = [{"n": n, "text": "x" * 2_000} for n in range(1_000)]


@pytest.fixture
def grpc_proxy(warehouse: "Warehouse") -> Iterator[Proxy]:
    host, _, port = warehouse.google.write_endpoint.partition(":")
    with Proxy(host, int(port)) as proxy:
        yield proxy


@pytest.mark.parametrize("mode", ["full_refresh", "incremental"])
def test_connections_that_break_in_the_middle_cost_no_row_and_bring_none_twice(
    warehouse: "Warehouse", grpc_proxy: Proxy, mode: str
) -> None:
    emulator = {**warehouse.google.emulator, "write_endpoint": f"{grpc_proxy.host}:{grpc_proxy.port}"}
    config = config_of(warehouse, emulator=emulator, request_size=0.05, max_concurrent_threads=2)
    with open_destination(config, mode) as destination:
        destination.prepare(ResumePoint(destination.sync_metadata.job_id))
        batches = [write(destination, rows_of(RECORDS[:1]))]
        grpc_proxy.slow(1_000_000)
        stop = threading.Event()
        breaking = threading.Thread(target=break_again_and_again, args=(grpc_proxy, stop))
        breaking.start()
        try:
            destination.batch = type(destination.batch)(1, 1)
            batches.append(write(destination, rows_of(RECORDS[1:], first=1)))
        finally:
            stop.set()
            breaking.join()
        publish(destination, *batches)
    assert sorted(int(row["_source_record_id"]) for row in warehouse.rows("items")) == list(range(1_000))


@pytest.mark.lesson("F-42")
def test_all_batches_share_a_connection(warehouse: "Warehouse", grpc_proxy: Proxy) -> None:
    emulator = {**warehouse.google.emulator, "write_endpoint": f"{grpc_proxy.host}:{grpc_proxy.port}"}
    with open_destination(config_of(warehouse, emulator=emulator)) as destination:
        destination.prepare(ResumePoint(destination.sync_metadata.job_id))
        for number in range(5):
            destination.batch = type(destination.batch)(number, number)
            destination.write_records(rows_of(RECORDS[:1]))
    assert grpc_proxy.accepted == 1


def break_again_and_again(proxy: Proxy, stop: threading.Event) -> None:
    for pause in (0.4, 0.3, 0.2):
        stop.wait(pause)
        proxy.cut()
        time.sleep(0.1)
        proxy.restore()
    proxy.slow(None)


class Answers:
    """Stands for the client: each call of ``append_rows`` gets the next script, an answer or an error per request.

    The emulator gives no such answers at will.
    """

    def __init__(self, *scripts: list[Any]) -> None:
        self.scripts = list(scripts)
        self.offsets: list[list[int]] = []
        self.requests: list[types.AppendRowsRequest] = []

    def append_rows(self, requests: Iterator[types.AppendRowsRequest], **_: Any) -> "Call":
        sent = list(requests)
        self.requests += sent
        self.offsets.append([request.offset for request in sent])
        return Call(self.scripts.pop(0))


class Call:
    def __init__(self, script: list[Any]) -> None:
        self._script = iter(script)

    def __iter__(self) -> "Call":
        return self

    def __next__(self) -> types.AppendRowsResponse:
        answer = next(self._script)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def cancel(self) -> None:
        """Nothing is under way."""


def ok(code: int = code_pb2.OK, message: str = "") -> types.AppendRowsResponse:
    return types.AppendRowsResponse(error={"code": code, "message": message}) if code else types.AppendRowsResponse()


def stream_of(answers: Answers, waits: list[float] | None = None) -> WriteStream:
    from google.protobuf.descriptor_pb2 import DescriptorProto

    sleep = ([] if waits is None else waits).append
    return WriteStream(answers, "s", DescriptorProto(name="Row"), offset=0, sleep=sleep)  # type: ignore[arg-type]


THREE = [Request(0, [b"a", b"b"]), Request(2, [b"c"]), Request(3, [b"d"])]


@pytest.mark.lesson("F-42")
def test_requests_without_an_answer_are_sent_again() -> None:
    from google.api_core.exceptions import ServiceUnavailable

    answers = Answers([ok(), ServiceUnavailable("gone")], [ok(code_pb2.ALREADY_EXISTS), ok()])
    stream_of(answers).append(THREE)
    assert answers.offsets == [[0, 2, 3], [2, 3]]


def test_a_connection_that_ends_without_a_word_is_opened_again() -> None:
    answers = Answers([ok()], [ok(), ok()])
    stream_of(answers).append(THREE)
    assert answers.offsets == [[0, 2, 3], [2, 3]]


def test_the_next_batch_continues_where_the_last_one_ended() -> None:
    answers = Answers([ok(), ok(), ok()], [ok()])
    stream = stream_of(answers)
    stream.append(THREE)
    stream.append([Request(0, [b"e"])])
    assert answers.offsets == [[0, 2, 3], [4]]


def test_retries_have_a_limit() -> None:
    from google.api_core.exceptions import ServiceUnavailable

    waits: list[float] = []
    answers = Answers(*[[ServiceUnavailable("gone")] for _ in range(20)])
    with pytest.raises(DestinationWriteError, match="gone") as raised:
        stream_of(answers, waits).append(THREE)
    assert raised.value.retryable
    assert (len(waits), sum(waits) < 120) == (8, True)


@pytest.mark.lesson("F-42")
def test_a_permanent_error_is_not_retried() -> None:
    from google.api_core.exceptions import InvalidArgument

    for script in ([InvalidArgument("bad proto")], [ok(code_pb2.INVALID_ARGUMENT, "bad proto")]):
        waits: list[float] = []
        answers = Answers(script)
        with pytest.raises(Exception, match="bad proto"):
            stream_of(answers, waits).append(THREE)
        assert (waits, len(answers.offsets)) == ([], 1)


def test_rows_that_are_refused_are_named_by_their_place_in_the_frame() -> None:
    bad = types.AppendRowsResponse(row_errors=[{"index": 0, "code": 1, "message": "no such day"}])
    with pytest.raises(RowsRejectedError) as raised:
        stream_of(Answers([ok(), bad])).append(THREE)
    assert raised.value.reasons == {2: "FIELDS_ERROR: no such day"}


@pytest.mark.lesson("F-42")
def test_an_exhausted_quota_is_retried_later() -> None:
    """As a status of the call, and inside an answer."""
    from google.api_core.exceptions import ResourceExhausted

    for refusal in (ResourceExhausted("quota"), ok(code_pb2.RESOURCE_EXHAUSTED, "quota")):
        waits: list[float] = []
        answers = Answers([ok(), refusal], [refusal], [ok(), ok()])
        stream_of(answers, waits).append(THREE)
        assert (answers.offsets, waits) == ([[0, 2, 3], [2, 3], [2, 3]], [0.5, 1.0])


def test_a_request_that_met_another_change_is_sent_again() -> None:
    """As a status of the call, and inside an answer."""
    from google.api_core.exceptions import InvalidArgument

    text = "Transaction is aborted due to concurrent update against table p:d.items_temp"
    for refusal in (InvalidArgument(text), ok(code_pb2.INVALID_ARGUMENT, text)):
        waits: list[float] = []
        answers = Answers([ok(), refusal], [ok(), ok()])
        stream_of(answers, waits).append(THREE)
        assert (answers.offsets, waits) == ([[0, 2, 3], [2, 3]], [0.5])


def test_the_writer_waits_for_a_column_that_was_just_added() -> None:
    waits: list[float] = []
    answers = Answers([ok(code_pb2.INVALID_ARGUMENT, "SCHEMA_MISMATCH_EXTRA_FIELDS")], [ok(), ok(), ok()])
    stream_of(answers, waits).append(THREE)
    assert waits == [0.5]


def test_a_column_that_a_row_does_not_have_gets_its_default() -> None:
    """The emulator knows no defaults; BigQuery makes such columns NULL unless a request says otherwise."""
    answers = Answers([ok(), ok(), ok()])
    stream_of(answers).append(THREE)
    default = types.AppendRowsRequest.MissingValueInterpretation.DEFAULT_VALUE
    assert [request.default_missing_value_interpretation for request in answers.requests] == [default] * 3


def test_a_stream_that_cannot_be_opened_ends_the_run_in_bounded_time() -> None:
    """The client's own policy tries for 20 minutes without a word."""
    from google.protobuf.descriptor_pb2 import DescriptorProto

    from bizon.connectors.destinations.bigquery.src.request_policy import REQUEST_OPTIONS
    from bizon.connectors.destinations.bigquery_streaming_v2.src.writer import TableWriter

    asked: list[dict[str, Any]] = []

    class Client:
        def table_path(self, *names: str) -> str:
            return "/".join(names)

        def create_write_stream(self, **how: Any) -> types.WriteStream:
            asked.append(how)
            return types.WriteStream(name="s")

    row = DescriptorProto(name="Row")
    writer = TableWriter(Client(), "p.d.t", row, request_bytes=9, threads=1, offsets=True)  # type: ignore[arg-type]
    writer._open()
    assert {name: asked[0][name] for name in REQUEST_OPTIONS} == REQUEST_OPTIONS


def test_a_stop_ends_the_waits_of_all_streams(wait_for: Callable[[Callable[[], bool]], None]) -> None:
    """With several streams at the same time, their threads did not see the stop flag."""
    from google.api_core.exceptions import ServiceUnavailable
    from google.protobuf.descriptor_pb2 import DescriptorProto

    from bizon.connectors.destinations.bigquery_streaming_v2.src.writer import TableWriter

    asked: list[int] = []

    class Client:
        def table_path(self, *names: str) -> str:
            return "/".join(names)

        def append_rows(self, *_: Any, **__: Any) -> Any:
            asked.append(1)
            raise ServiceUnavailable("busy")  # type: ignore[no-untyped-call]

    writer = TableWriter(
        Client(),  # type: ignore[arg-type]
        "p.d.t",
        DescriptorProto(name="Row"),
        request_bytes=100,
        request_rows=1,
        threads=2,
        offsets=False,
    )
    error = error_when_stopped(lambda: writer.write([b"a", b"b"], []), lambda: wait_for(lambda: len(asked) > 7))
    assert isinstance(error, StoppedError)
