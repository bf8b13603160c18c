"""The detour through which faults reach a source: it changes nothing that the source sees."""

import gzip
import json
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from pytest_httpserver import HTTPServer
from requests import PreparedRequest
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.util.retry import Retry
from werkzeug import Request, Response

from bizon.source.session import Session
from bizon.testing.source_faults import Answer, Detour, detour_of


@pytest.fixture
def session() -> Iterator[Session]:
    with Session() as session:
        yield session


@pytest.fixture
def detour(session: Session) -> Iterator[Detour]:
    with detour_of(session) as detour:
        yield detour


def unavailable(_real: Answer, _echo: str) -> Answer:
    return Answer(503, [], b"")


def test_an_answer_looks_as_it_does_without_it(httpserver: HTTPServer, session: Session, detour: Detour) -> None:
    def answer(request: Request) -> Response:
        seen = {
            "body": request.get_json(),
            "query": request.args.to_dict(),
            "host": request.host,
            "x": request.headers["X"],
        }
        packed = Response(gzip.compress(json.dumps(seen).encode()), 201, {"Content-Encoding": "gzip"})
        packed.set_cookie("sid", "1")
        return packed

    httpserver.expect_request("/a b", method="POST").respond_with_handler(answer)
    url = httpserver.url_for("/a b")
    found = session.post(url, json={"é": [1]}, params={"q": "ü &"}, headers={"X": "y"})
    host = f"{httpserver.host}:{httpserver.port}"
    assert found.json() == {"body": {"é": [1]}, "query": {"q": "ü &"}, "host": host, "x": "y"}
    assert found.url.startswith(httpserver.url_for("/a%20b?q="))
    assert (found.status_code, session.cookies["sid"], len(detour.served)) == (201, "1", 1)


def test_redirects_are_followed_to_where_they_lead(httpserver: HTTPServer, session: Session, detour: Detour) -> None:
    httpserver.expect_request("/old").respond_with_data("", 302, {"Location": "/new"})
    httpserver.expect_request("/new").respond_with_json([1])
    assert session.get(httpserver.url_for("/old")).url == httpserver.url_for("/new")
    assert [each.url for each in detour.served] == [httpserver.url_for("/old"), httpserver.url_for("/new")]


def test_a_retry_does_not_ask_the_real_server_again(httpserver: HTTPServer, session: Session, detour: Detour) -> None:
    httpserver.expect_oneshot_request("/once").respond_with_json([1])
    detour.plan(unavailable, times=2)
    assert session.get(httpserver.url_for("/once")).json() == [1]
    assert [each.is_faulty for each in detour.served] == [True, True, False]


class UrlNoting(AuthBase):
    """Credentials that expire at once; notes the URL of each request that it signs."""

    def __init__(self) -> None:
        self.urls: list[str | None] = []

    def __call__(self, r: PreparedRequest) -> PreparedRequest:
        self.urls.append(r.url)
        return r

    def sign_again(self, request: PreparedRequest) -> None:
        request.prepare_url(request.url, {"again": 1})
        self(request)

    def renew(self, request: PreparedRequest) -> bool:
        self(request)
        return True


def test_credentials_are_renewed_for_the_requested_url(
    httpserver: HTTPServer, session: Session, detour: Detour
) -> None:
    httpserver.expect_ordered_request("/a").respond_with_json({}, status=401)
    httpserver.expect_ordered_request("/a").respond_with_json({}, status=503)
    httpserver.expect_ordered_request("/a", query_string="again=1").respond_with_json([1])
    session.auth = UrlNoting()
    url = httpserver.url_for("/a")
    assert session.get(url).json() == [1]
    assert session.auth.urls == [url, url, f"{url}?again=1"]
    assert detour.served[-1].url == f"{url}?again=1"


def test_retries_of_plain_requests_are_seen(httpserver: HTTPServer, session: Session) -> None:
    session.mount("http://", HTTPAdapter(max_retries=Retry(total=5, backoff_factor=60, status_forcelist=(503,))))
    httpserver.expect_request("/").respond_with_json([1])
    with detour_of(session) as detour:
        detour.plan(unavailable, times=1)
        assert session.get(httpserver.url_for("/")).json() == [1]
    assert len(detour.served) == 2


def test_afterwards_requests_go_straight_again(httpserver: HTTPServer, session: Session) -> None:
    before = dict(session.adapters)
    with detour_of(session) as detour:
        detour.plan(unavailable)
    httpserver.expect_request("/").respond_with_json([1])
    assert session.get(httpserver.url_for("/")).json() == [1]
    assert dict(session.adapters) == before


@pytest.fixture
def https_url(tmp_path: Path) -> Iterator[str]:
    """A server with a self-signed certificate, which is in ``certificate.pem``."""
    key = ["-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "certificate.pem", "-days", "2"]
    name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run(["openssl", "req", "-x509", *name, *key], check=True, capture_output=True, cwd=tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certificate.pem", tmp_path / "key.pem")
    with HTTPServer(host="localhost", ssl_context=context) as server:
        server.expect_request("/safe").respond_with_json([1])
        yield server.url_for("/safe")


def test_the_certificates_of_the_session_decide(https_url: str, session: Session, tmp_path: Path) -> None:
    session.verify = str(tmp_path / "certificate.pem")
    with detour_of(session) as detour:
        detour.plan(unavailable, times=1)
        found = session.get(https_url)
    assert (found.json(), found.url) == ([1], https_url)
    session.verify = True
    with detour_of(session) as detour, pytest.raises(requests.ConnectionError):
        session.get(https_url)
    assert all(each.real is None for each in detour.served)
