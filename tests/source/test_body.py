"""JSON answers are decoded as JSON, whatever their label says, and no character is replaced silently."""

import json
import re

import pytest
import requests
from pytest_httpserver import HTTPServer

from bizon.common.errors.errors import SourceFetchError
from bizon.source.auth.authenticators.token import TokenAuthParams
from bizon.source.auth.builder import AuthBuilder
from bizon.source.body import decode_json
from bizon.source.config import HttpRetriesConfig
from bizon.source.session import Session

TEXT = '{"name":"Zoë Müller 東京 😀"}'
LABELS = ["application/json", "text/json", "text/plain", "text/html", "text/csv", "application/vnd.api+json", None]
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]


@pytest.fixture
def answer(httpserver: HTTPServer):
    def answer(body: bytes, label: str | None = "application/json") -> requests.Response:
        httpserver.clear()
        handler = httpserver.expect_request("/items")
        handler.respond_with_data(body, headers={"Content-Type": label} if label else {})
        return Session(HttpRetriesConfig(total=0)).get(httpserver.url_for("/items?token=secret"))

    return answer


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_json_is_decoded_by_its_bytes(answer, encoding, label):
    """A body labelled text/... was read as Latin-1: ZoÃ« MÃ¼ller."""
    assert answer(TEXT.encode(encoding), label).json() == json.loads(TEXT)


@pytest.mark.parametrize(
    ("charset", "encoding"),
    [
        ("iso-8859-1", "latin-1"), ("ISO-8859-15", "iso-8859-15"), ('"windows-1252"', "cp1252"),
        ("shift_jis", "shift_jis"), ("gb18030", "gb18030"), ("iso-2022-jp", "iso-2022-jp"), ("utf-16", "utf-16-le"),
    ],
)  # fmt: skip
def test_a_declared_charset_counts_where_it_is_right(answer, charset, encoding):
    text = '{"name":"東京 Tokyo"}' if encoding[0] in "sg" or "2022" in encoding else '{"name":"Café Müller"}'
    assert answer(text.encode(encoding), f"application/json; charset={charset}").json() == json.loads(text)


@pytest.mark.parametrize("charset", ["iso-8859-1", "us-ascii", "no-such-charset", "windows-1252", "base64"])
def test_a_declared_charset_does_not_count_where_it_is_wrong(answer, charset):
    assert answer(TEXT.encode(), f"application/json; charset={charset}").json() == json.loads(TEXT)


@pytest.mark.parametrize("label", [*LABELS, "application/json; charset=utf-8", "text/json;charset=us-ascii"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_body_that_is_not_valid_names_path_and_byte_and_no_query(answer, mark, label):
    """The byte became U+FFFD, and the run was a success."""
    body = mark + b'{"items":[{"id":1,"name":"Caf\xe9"}]}'
    with pytest.raises(
        SourceFetchError, match=r"^GET http://\S+/items: HTTP 200, [^:]+: the body is not valid"
    ) as fault:
        answer(body, label).json()
    assert f"at byte {body.index(0xE9)} (0xe9)" in str(fault.value)
    assert "secret" not in str(fault.value)


def test_a_body_in_utf_16_that_breaks_off_is_not_valid(answer):
    with pytest.raises(SourceFetchError, match="not valid UTF-16-LE at byte"):
        answer(TEXT.encode("utf-16-le")[:-1]).json()


def test_the_text_of_json_is_decoded_alike_and_other_text_as_in_requests(answer):
    assert answer(TEXT.encode(), "text/json").text == TEXT
    assert answer(TEXT.encode(), "application/x-ndjson").text == TEXT
    assert answer("é".encode("latin-1"), "text/plain").text == "é"
    with pytest.raises(SourceFetchError, match="at byte 1 "):
        _ = answer(b'"\xff"', "application/json").text


@pytest.mark.parametrize(
    ("body", "begins"), [(b"", "it is empty"), (b"<html>\n oops", "'<html> oops'"), (b'{"a":1', """'{"a":1'""")]
)
def test_a_body_that_is_not_json_raises_the_error_of_requests_and_is_shown(answer, body, begins):
    with pytest.raises(requests.JSONDecodeError) as fault:
        answer(body, "text/html").json()
    place = r"^GET http://\S+/items: HTTP 200, text/html: the body is not valid JSON: "
    assert re.match(place, str(fault.value))
    assert begins in str(fault.value)
    assert "secret" not in str(fault.value)


def test_a_body_that_is_not_json_shows_a_hundred_masked_characters(httpserver: HTTPServer):
    """A gateway's error page may echo the request."""
    httpserver.expect_request("/items").respond_with_data("x" * 90 + " S3cretToken-1 S3cretCursor-22 " + "y" * 500)
    session = Session(HttpRetriesConfig(total=0))
    session.auth = AuthBuilder.token(TokenAuthParams(token="S3cretToken-1"))
    with pytest.raises(requests.JSONDecodeError) as fault:
        session.get(httpserver.url_for("/items"), params={"api_key": "S3cretCursor-22"}).json()
    shown = str(fault.value)
    assert "x" * 90 in shown
    assert "S3cret" not in shown
    assert "yyyy" not in shown


def test_arguments_are_passed_to_json(answer):
    assert answer(b'{"a":1.10}').json(parse_float=str) == {"a": "1.10"}


def test_an_answer_after_a_redirect_is_decoded_alike(httpserver: HTTPServer):
    httpserver.expect_request("/old").respond_with_data(status=302, headers={"Location": httpserver.url_for("/new")})
    httpserver.expect_request("/new").respond_with_data(TEXT.encode(), content_type="text/plain")
    assert Session(HttpRetriesConfig(total=0)).get(httpserver.url_for("/old")).json() == json.loads(TEXT)


def test_a_mark_that_is_not_followed_by_its_encoding_names_the_byte_of_the_body():
    with pytest.raises(UnicodeDecodeError) as fault:
        decode_json(b"\xef\xbb\xbf\xff")
    assert fault.value.start == 3
