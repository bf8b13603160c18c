"""Numbers of an API go back to it, in a JSON body, with the text that it sent."""

import json

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from bizon.rows.encoding import KeptNumber
from bizon.source.sent_json import exact_json
from bizon.source.session import Session

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(), below, max_size=3),
    max_leaves=8,
)


def body(value, headers=None, own=None):
    """Content type and body of a request as the session sends it."""
    with Session() as session:
        session.headers.update(own or {})
        prepared = session.prepare_request(requests.Request("POST", "http://host/", json=value, headers=headers))
    return prepared.headers["Content-Type"], prepared.body


@given(VALUES)
def test_a_body_is_what_requests_would_send_but_for_such_numbers(value):
    usual = json.dumps(value)
    assert exact_json(value) is None
    assert exact_json([value, {"é": KeptNumber("1.10")}]) == f'[{usual}, {{"\\u00e9": 1.10}}]'.encode()


def test_a_session_sends_the_text_of_a_number():
    assert body({"after": KeptNumber("1.10"), "size": 10}) == ("application/json", b'{"after": 1.10, "size": 10}')


@pytest.mark.parametrize("given_as", ["headers", "own"])
def test_a_content_type_that_is_given_stays(given_as):
    label = "application/vnd.api+json"
    assert body([KeptNumber("1e400")], **{given_as: {"content-type": label}}) == (label, b"[1e400]")


def test_a_number_that_is_not_json_is_still_an_error():
    with pytest.raises(requests.exceptions.InvalidJSONError, match="not JSON compliant"):
        body([KeptNumber("1.10"), float("nan")])
