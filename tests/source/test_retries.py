"""Bodies that break off, failures that are not retried, waits that end with the run, settings that the environment
must not replace."""

import gzip
import json
import re
import socket
import ssl
import struct
import subprocess
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import requests
from loguru import logger
from pytest_httpserver import HTTPServer

from bizon.common.errors.errors import StoppedError
from bizon.common.waiting import ends_with, pause, was_stopped, within
from bizon.source.auth.authenticators.token import TokenAuthParams
from bizon.source.auth.builder import AuthBuilder
from bizon.source.config import HttpRetriesConfig
from bizon.source.session import Session, refused_by

BODY = json.dumps({"items": [{"id": n, "name": f"item {n}"} for n in range(500)]}).encode()
AT_ONCE = HttpRetriesConfig(total=2, backoff_factor=0)
LONG = HttpRetriesConfig(total=10, backoff_factor=600, retry_after_max=None)

Serve = Callable[..., str]


def _answer(*headers: str, body: bytes) -> bytes:
    """Announces that ``serve`` closes the connection, or a client might send its next request on it."""
    always = ("HTTP/1.1 200 OK", "Content-Type: application/json", "Connection: close")
    return "\r\n".join((*always, *headers, "", "")).encode() + body


def _chunked(body: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(body), body)


WHOLE = _answer(f"Content-Length: {len(BODY)}", body=BODY)
PACKED, DEFLATED = gzip.compress(BODY), zlib.compress(BODY)
ZIPPED = "Content-Encoding: gzip"
BROKEN = {
    "short": _answer(f"Content-Length: {len(BODY)}", body=BODY[:900]),
    "between chunks": _answer("Transfer-Encoding: chunked", body=_chunked(BODY[:900])),
    "gzip, short": _answer(ZIPPED, f"Content-Length: {len(PACKED)}", body=PACKED[:90]),
    "gzip without its end, as long as announced": _answer(
        ZIPPED, f"Content-Length: {len(PACKED) - 9}", body=PACKED[:-9]
    ),
    "gzip without its end, in chunks": _answer(
        ZIPPED, "Transfer-Encoding: chunked", body=_chunked(PACKED[:-20]) + b"0\r\n\r\n"
    ),
    "gzip without its end, until the connection closes": _answer(ZIPPED, body=PACKED[:-1]),
    "deflate without its end": _answer("Content-Encoding: deflate", body=DEFLATED[:-10]),
    "gzip whose second member has no end": _answer(ZIPPED, body=PACKED + PACKED[:-9]),
}


def _received(connection: socket.socket) -> bytes:
    """A request: its head, and as much of its body as it announces."""
    request = b""
    while b"\r\n\r\n" not in request:
        request += connection.recv(65536)
    head, _, body = request.partition(b"\r\n\r\n")
    length = re.search(rb"Content-Length: (\d+)", head)
    while length and len(body) < int(length[1]):
        body += connection.recv(65536)
    return head + body


@pytest.fixture
def serve() -> Iterator[Serve]:
    """``serve(answer, ..., reset=False)``: a server that sends one of these byte strings per connection, the last one
    repeatedly, and records the requests in ``serve.seen``."""
    servers: list[socket.socket] = []
    seen: list[bytes] = []

    def start(*answers: bytes, reset: bool = False) -> str:
        server = socket.create_server(("127.0.0.1", 0))
        servers.append(server)

        def loop() -> None:
            left = list(answers)
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    seen.append(_received(connection))
                    is_last = len(left) == 1
                    connection.sendall(left[0] if is_last else left.pop(0))
                    if reset and not is_last:
                        time.sleep(0.05)  # the client must have read the answer
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

        threading.Thread(target=loop, daemon=True).start()
        return f"http://127.0.0.1:{server.getsockname()[1]}/items"

    start.seen = seen  # type: ignore[attr-defined]
    yield start
    for server in servers:
        with closing(server):
            server.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def log() -> Iterator[list[str]]:
    lines: list[str] = []
    sink = logger.add(lines.append, level="TRACE", format="{message}")
    yield lines
    logger.remove(sink)


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_body_that_breaks_off_is_requested_again(serve: Serve, log: list[str], broken: bytes, method: str) -> None:
    """The run ended at the first one; a compressed body without an end was accepted as whole."""
    assert Session(AT_ONCE).request(method, serve(broken, WHOLE)).content == BODY
    assert [line.partition(": ")[2] for line in log] == ["the body broke off; retrying in 0 s, retries left: 1\n"]


def test_a_body_cut_by_a_connection_reset_is_requested_again(serve: Serve) -> None:
    assert Session(AT_ONCE).get(serve(BROKEN["short"], WHOLE, reset=True)).content == BODY


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_a_body_that_always_breaks_off_is_an_error_and_never_taken_for_whole(serve: Serve, broken: bytes) -> None:
    with pytest.raises(requests.RequestException, match=r"the body broke off$"):
        Session(AT_ONCE).get(serve(broken))
    assert len(serve.seen) == 1 + AT_ONCE.total  # type: ignore[attr-defined]


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_a_streamed_body_that_breaks_off_is_an_error_for_its_reader(serve: Serve, broken: bytes) -> None:
    """It is not retried: the caller has used a part."""
    with Session(AT_ONCE).get(serve(broken), stream=True) as answer, pytest.raises(requests.RequestException):
        list(answer.iter_content(1000))


@pytest.mark.parametrize(
    "whole",
    [
        _answer(ZIPPED, body=PACKED),
        _answer(ZIPPED, body=PACKED + b"\0" * 8),
        _answer("Content-Encoding: deflate", body=DEFLATED),
        _answer("Content-Encoding: deflate", body=DEFLATED[2:-4]),
        _answer("Content-Encoding: deflate, gzip", body=gzip.compress(DEFLATED)),
    ],
    ids=["gzip", "gzip and zeros", "deflate", "raw deflate", "both"],
)
def test_a_complete_compressed_body_is_requested_once(serve: Serve, whole: bytes) -> None:
    assert Session(AT_ONCE).get(serve(whole)).content == BODY
    assert len(serve.seen) == 1  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "empty",
    [_answer(ZIPPED, "Content-Length: 0", body=b""), _answer(ZIPPED, "Transfer-Encoding: chunked", body=b"0\r\n\r\n")],
    ids=["of length 0", "of no chunk"],
)
def test_an_empty_body_that_is_labelled_as_compressed_is_whole(serve: Serve, empty: bytes) -> None:
    url = serve(empty)
    assert Session(AT_ONCE).get(url).content == b""
    assert Session(AT_ONCE).head(url).content == b""


def test_a_body_with_a_wrong_compression_label_is_not_requested_again(serve: Serve) -> None:
    with pytest.raises(requests.exceptions.ContentDecodingError):
        Session(AT_ONCE).get(serve(_answer(ZIPPED, body=BODY)))
    assert len(serve.seen) == 1  # type: ignore[attr-defined]


def test_a_method_that_is_not_retried_is_not_sent_again_for_its_body(serve: Serve) -> None:
    with pytest.raises(requests.RequestException):
        Session(AT_ONCE).delete(serve(BROKEN["short"]))
    assert len(serve.seen) == 1  # type: ignore[attr-defined]


def test_a_file_is_sent_again_from_where_it_was_and_a_generator_is_not(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "upload").write_bytes(b"abcdef")
    with (tmp_path / "upload").open("rb") as file:
        file.seek(2)
        assert Session(AT_ONCE).post(serve(BROKEN["short"], WHOLE), data=file).content == BODY
    assert [sent[-4:] for sent in serve.seen] == [b"cdef", b"cdef"]  # type: ignore[attr-defined]
    with pytest.raises(requests.RequestException):
        Session(AT_ONCE).post(serve(BROKEN["short"], WHOLE), data=iter([b"x"]))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a self-signed certificate for localhost, in one file."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    key = ["-newkey", "rsa:2048", "-nodes", "-keyout", str(path)]
    command = ["openssl", "req", "-x509", "-subj", "/CN=localhost", "-days", "2", *key, "-out", f"{path}.crt"]
    subprocess.run(command, check=True, capture_output=True)
    path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
    return path


@pytest.fixture
def tls(certificate: Path) -> Iterator[Callable[..., str]]:
    """``tls(version=None)``: a server that performs handshakes, and counts them in ``tls.asked``."""
    servers: list[socket.socket] = []
    asked: list[int] = []

    def start(version: ssl.TLSVersion | None = None) -> str:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        if version is not None:
            context.minimum_version = version
        server = socket.create_server(("127.0.0.1", 0))
        servers.append(server)

        def loop() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                asked.append(1)
                try:
                    context.wrap_socket(connection, server_side=True).close()
                except OSError:
                    connection.close()

        threading.Thread(target=loop, daemon=True).start()
        return f"https://127.0.0.1:{server.getsockname()[1]}/items"

    start.asked = asked  # type: ignore[attr-defined]
    yield start
    for server in servers:
        with closing(server):
            server.shutdown(socket.SHUT_RDWR)


def test_a_certificate_that_is_not_trusted_is_not_retried(tls: Callable[..., str]) -> None:
    with pytest.raises(requests.exceptions.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
        Session(LONG).get(tls())
    assert len(tls.asked) == 1  # type: ignore[attr-defined]


def test_a_server_that_speaks_no_tls_is_not_retried(httpserver: HTTPServer) -> None:
    with pytest.raises(requests.exceptions.SSLError):
        Session(LONG).get(httpserver.url_for("/items").replace("http://", "https://"))


def test_a_tls_version_that_the_two_do_not_share_is_not_retried(
    tls: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, session = tls(ssl.TLSVersion.TLSv1_3), Session(LONG)
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    session.get_adapter(url).init_poolmanager(1, 1, ssl_context=old)
    with pytest.raises(requests.exceptions.SSLError):
        session.get(url)
    assert len(tls.asked) == 1  # type: ignore[attr-defined]


def _look_up(code: int) -> Callable[..., None]:
    def fail(*_args: object) -> None:
        raise socket.gaierror(code, "as the resolver says it")

    return fail


def test_an_unknown_host_is_not_retried(monkeypatch: pytest.MonkeyPatch, log: list[str]) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", _look_up(socket.EAI_NONAME))
    with pytest.raises(requests.ConnectionError):
        Session(LONG).get("http://no-such-host/items")
    assert log == []


def test_a_resolver_that_is_unreachable_for_a_moment_is_retried(
    monkeypatch: pytest.MonkeyPatch, log: list[str]
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", _look_up(socket.EAI_AGAIN))
    with pytest.raises(requests.ConnectionError):
        Session(AT_ONCE).get("http://some-host/items")
    assert len(log) == AT_ONCE.total


def test_the_end_of_a_run_ends_a_wait_at_once(httpserver: HTTPServer) -> None:
    """It waited for up to two minutes, ten times."""
    httpserver.expect_request("/items").respond_with_data(status=503, headers={"Retry-After": "600"})
    sign = threading.Event()
    with ends_with(sign):
        session = Session(LONG)
    threading.Timer(0.1, sign.set).start()
    with pytest.raises(StoppedError):
        session.get(httpserver.url_for("/items"))
    assert len(httpserver.log) == 1


def test_the_end_of_a_run_ends_retries_without_a_wait(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/items").respond_with_data(status=503)
    sign = threading.Event()
    sign.set()
    with ends_with(sign), pytest.raises(StoppedError):
        Session(AT_ONCE).get(httpserver.url_for("/items"))
    assert len(httpserver.log) == 1


def test_a_wait_looks_at_the_sign_again_and_again() -> None:
    sign, now, slept = threading.Event(), [0.0], list[float]()

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds
        if now[0] > 5:
            sign.set()

    with pytest.raises(StoppedError):
        pause(600, sign, clock=lambda: now[0], sleep=sleep)
    assert max(slept) <= 0.1
    assert now[0] < 6


def test_an_ended_wait_is_recognised_however_it_is_wrapped() -> None:
    def fail() -> None:
        try:
            raise StoppedError
        except StoppedError:
            raise RuntimeError("the source failed")  # noqa: B904 - as sources do

    with pytest.raises(RuntimeError) as caught:
        fail()
    assert was_stopped(caught.value)
    assert not was_stopped(RuntimeError("another"))


def test_a_check_is_not_retried_for_longer_than_its_bound(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/items").respond_with_data(status=503)
    retries = HttpRetriesConfig(total=10, backoff_factor=30)
    with within(10), pytest.raises(requests.HTTPError, match="503"):
        Session(retries).get(httpserver.url_for("/items"))
    assert len(httpserver.log) == 1


@pytest.fixture
def netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("default login joe password for-ftp-only\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


@pytest.mark.usefixtures("netrc")
def test_netrc_replaces_nothing_and_adds_nothing(httpserver: HTTPServer) -> None:
    session = Session(AT_ONCE)
    elsewhere = httpserver.url_for("/there").replace("localhost", "127.0.0.1")
    httpserver.expect_request("/here").respond_with_data(status=302, headers={"Location": elsewhere})
    httpserver.expect_request("/there").respond_with_data()
    session.get(httpserver.url_for("/there"))
    session.get(httpserver.url_for("/there"), headers={"Authorization": "Bearer own"})
    session.get(httpserver.url_for("/here"), headers={"Authorization": "Bearer own"})
    session.auth = AuthBuilder.token(TokenAuthParams(token="k", auth_header="X-Key", auth_method=""))
    session.get(httpserver.url_for("/there"))
    sent = [request.headers.get("Authorization") for request, _ in httpserver.log]
    assert sent == [None, "Bearer own", "Bearer own", None, None]


def test_user_and_password_of_a_url_are_sent_as_in_requests(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/items").respond_with_data()
    Session(AT_ONCE).get(httpserver.url_for("/items").replace("://", "://joe:pw@"))
    assert httpserver.log[0][0].authorization.username == "joe"


def test_session_settings_override_proxies_and_certificates_of_the_environment(
    httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    httpserver.expect_request("/items").respond_with_data("through the proxy")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name)
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://joe:pw@127.0.0.1:1")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/no/such/file")
    session = Session(AT_ONCE)
    session.proxies["all"] = httpserver.url_for("")
    assert session.get("http://api.example/items").text == "through the proxy"
    session.verify = False
    assert session.merge_environment_settings("https://h/", {}, None, None, None)["verify"] is False
    assert Session().merge_environment_settings("http://h/", {}, None, None, None)["proxies"]["http"].endswith(":1")


def test_the_environment_is_looked_through_once_for_the_pages_of_a_host_and_again_when_it_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked: list[str] = []
    look = requests.sessions.get_environ_proxies
    monkeypatch.setattr(
        requests.sessions, "get_environ_proxies", lambda url, no_proxy: looked.append(url) or look(url, no_proxy)
    )
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "inside")
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    session = Session(AT_ONCE)

    def proxy_of(url: str) -> str | None:
        found: dict[str, str] = session.merge_environment_settings(url, {}, None, None, None)["proxies"]
        return found.pop("http", None)  # the next caller gets an answer of its own

    first, second, inside = "http://h/items?page=1", "http://h/items?page=2", "http://inside/items"
    assert [proxy_of(first), proxy_of(second)] == ["http://127.0.0.1:1"] * 2
    assert looked == [first]
    assert proxy_of(inside) is None
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:2")
    assert proxy_of(first) == "http://127.0.0.1:2"
    session.proxies["http"] = "http://127.0.0.1:3"
    assert proxy_of(first) == "http://127.0.0.1:3"
    session.trust_env = False
    session.proxies.clear()
    assert proxy_of(first) is None


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"message": "no such field"}, "no such field"),
        ({"error": {"code": 7, "message": "cursor expired"}}, "cursor expired"),
        ({"error": "invalid_request", "error_description": "limit is\n too  high"}, "limit is too high"),
        ({"errors": [{"detail": "first"}, {"detail": "second"}]}, "first"),
        ({"Error": {"Message": "as .NET writes it"}}, "as .NET writes it"),
        ({"status": 400}, ""),
        ("plain words", "plain words"),
    ],
)
def test_a_4xx_shows_what_the_api_says(httpserver: HTTPServer, body: object, message: str) -> None:
    answer = httpserver.expect_request("/items")
    answer.respond_with_data(body, status=400) if isinstance(body, str) else answer.respond_with_json(body, status=400)
    with pytest.raises(requests.HTTPError) as caught:
        Session(AT_ONCE).get(httpserver.url_for("/items"))
    assert str(caught.value).partition("HTTP 400 Bad Request")[2] == (f": {message}" if message else "")
    assert refused_by(caught.value) == 400


def test_a_message_of_the_api_is_masked_and_cut(httpserver: HTTPServer) -> None:
    echo = {"message": "token S3cretToken-1, cursor S3cretSignature-of-a-link-0123, " + "x" * 1000}
    httpserver.expect_request("/items").respond_with_json(echo, status=403)
    session = Session(AT_ONCE)
    session.auth = AuthBuilder.token(TokenAuthParams(token="S3cretToken-1"))
    with pytest.raises(requests.HTTPError) as caught:
        session.get(httpserver.url_for("/items"), params={"page": "S3cretSignature-of-a-link-0123"})
    assert "S3cret" not in str(caught.value)
    assert len(str(caught.value)) < 500
    assert refused_by(caught.value) is None, "credentials say nothing about the cursor"


def test_a_page_for_browsers_is_not_shown(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/items").respond_with_data("<html>", status=404, content_type="text/html")
    with pytest.raises(requests.HTTPError, match=r"HTTP 404 Not Found$"):
        Session(AT_ONCE).get(httpserver.url_for("/items"))


def test_retries_are_logged_once_and_without_the_query(log: list[str], caplog: pytest.LogCaptureFixture) -> None:
    """urllib3 logged each of them too, with the whole URL."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(requests.ConnectionError):
        Session(AT_ONCE).get(f"http://127.0.0.1:{port}/data?X-Amz-Signature=s3cr3t")
    assert len(log) == AT_ONCE.total
    assert "s3cr3t" not in "".join(log)
    assert [record for record in caplog.records if record.levelname != "DEBUG"] == []
