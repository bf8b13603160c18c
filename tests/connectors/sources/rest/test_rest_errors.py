"""The meaning of answers: rules by status and by content, records that are left out, tombstones, ids."""

from collections import Counter
from contextlib import closing

import pytest
import requests
from connectors.sources.rest.conftest import block, ids, opened, records_of
from standins.rest.server import Reply, by_page, items

from bizon.common.errors.errors import SourceFetchError

PAGES = {"type": "page", "param": "page"}


def answers(api, *replies):
    """The API gives these answers first, and then pages."""
    waiting = list(replies)
    api.routes["/items"] = lambda asked: by_page(items(3), asked)
    api.before = lambda asked: waiting.pop(0) if waiting else None


@pytest.mark.parametrize(
    ("reply", "rule"),
    [
        (Reply({"error": {"code": "busy"}}), {"when": "error.code == 'busy'", "then": "retry"}),
        (Reply({"error": {"code": "busy"}}, 409), {"status": 409, "then": "retry"}),
        (
            Reply({"error": {"code": "busy"}}, 400),
            {"status": [400, 409], "when": "error.code == 'busy'", "then": "retry"},
        ),
        (Reply({}, 202), {"status": 202, "then": "retry"}),
    ],
)
def test_a_rule_asks_again(api, reply, rule):
    answers(api, reply, reply)
    assert ids(block(api, {"pages": PAGES, "errors": [rule]})) == ["1", "2", "3"]
    assert len(api.served) == 5


def test_asking_again_has_an_end(api):
    answers(api, *[Reply({"error": "busy"})] * 100)
    with pytest.raises(SourceFetchError, match=r"4 attempts were made; the API says: busy"):
        ids(block(api, {"pages": PAGES, "errors": [{"when": "error", "then": "retry"}]}))
    assert len(api.served) == 4


def test_asking_again_waits_as_long_as_the_api_says(api, log_text):
    answers(api, Reply({"error": "busy"}, headers={"Retry-After": "0"}))
    http = {"retries": {"backoff_factor": 3600}}
    assert ids(block(api, {"pages": PAGES, "errors": [{"when": "error", "then": "retry"}]}, http=http))
    assert "a rule says to ask again; in 0 s" in log_text()


def test_a_status_that_no_rule_names_ends_the_run(api):
    answers(api, Reply({"message": "no such list"}, 404))
    with pytest.raises(requests.HTTPError, match=r"HTTP 404 Not Found: no such list"):
        ids(block(api, {"pages": PAGES, "errors": [{"status": 410, "then": "skip"}]}))


def test_a_rule_ends_the_run_with_the_message_of_the_api(api):
    answers(api, Reply({"items": [], "errors": [{"message": "the field is gone"}]}))
    with pytest.raises(SourceFetchError, match=r"the field is gone"):
        ids(block(api, {"pages": PAGES, "errors": [{"when": "errors", "then": "fail"}]}))


def test_a_rule_of_the_endpoint_comes_before_the_usual_ones(api):
    answers(api, Reply({"code": 7}, 404))
    rules = {"defaults": {"errors": [{"status": 404, "then": "fail"}]}}
    assert ids(block(api, {"pages": PAGES, "errors": [{"when": "code == `7`", "then": "skip"}]}, **rules)) == []


def test_an_error_that_is_not_raised_by_the_session_is_not_a_page(api):
    answers(api, Reply({"items": items(2)}, 404))
    with pytest.raises(SourceFetchError, match=r"the API refuses the request"):
        ids(block(api, {"pages": PAGES}, http={"raise_for_status": False}))


def test_where_leaves_records_out_and_counts_them(api, log_text):
    answers(api)
    source = block(api, {"pages": PAGES, "where": "id != `2` && name"})
    assert ids(source, restarts=False) == ["1", "3"]
    assert "endpoint 'items': 1 records were left out by `where`" in log_text()


def test_tombstones_are_marked(api):
    api.routes["/items"] = lambda asked: {"items": [{"id": 1, "deleted": True}, {"id": 2, "deleted": False}, {"id": 3}]}
    found = records_of(block(api, {"deleted": "deleted == `true`"}))
    assert [each.data for each in found] == [
        {"id": 1, "deleted": True, "_deleted": True},
        {"id": 2, "deleted": False},
        {"id": 3},
    ]


def test_a_mark_of_the_api_is_not_replaced(api):
    api.routes["/items"] = lambda asked: {"items": [{"id": 1, "_deleted": "yes"}]}
    with pytest.raises(SourceFetchError, match=r"has a field '_deleted' of its own"):
        ids(block(api, {"deleted": "_deleted"}))


@pytest.mark.parametrize(
    ("record", "what"),
    [
        ({}, "nothing"),
        ({"id": None}, "nothing"),
        ({"id": ""}, "nothing"),
        ({"id": 1.5}, "a float"),
        ({"id": True}, "a bool"),
        ({"id": [1]}, "a list"),
    ],
)
def test_a_record_without_an_id_is_an_error(api, record, what):
    api.routes["/items"] = lambda asked: {"items": [record]}
    with pytest.raises(SourceFetchError, match=f"a record has {what} at 'id'"):
        ids(block(api, {}))


def test_ids_of_several_fields_differ_where_the_fields_do(api):
    pairs = [("a:b", "c"), ("a", "b:c"), ("a%3Ab", "c"), ("a", "b")]
    api.routes["/items"] = lambda asked: {"items": [{"x": {"y": one}, "z": other} for one, other in pairs]}
    found = ids(block(api, {"id": ["x.y", "z"]}))
    assert max(Counter(found).values()) == 1
    assert found[3] == "a:b"


def test_a_function_that_gets_a_wrong_type_is_an_error_that_names_it(api):
    answers(api)
    with pytest.raises(ValueError, match=r"JMESPath 'length\(id\)'"):
        ids(block(api, {"where": "length(id)"}))


def test_an_error_of_the_server_is_tried_again_without_a_rule(api):
    answers(api, Reply({}, 503), Reply({}, 429, {"Retry-After": "0"}))
    assert ids(block(api, {"pages": PAGES})) == ["1", "2", "3"]


def test_a_request_that_the_session_has_retried_is_not_retried_by_a_rule(api):
    api.before = lambda asked: Reply({"message": "slow down"}, 429)
    with pytest.raises(requests.HTTPError, match="HTTP 429"):
        ids(block(api, {"pages": PAGES, "errors": [{"status": 429, "then": "retry"}]}))
    assert len(api.served) == 4


def test_a_check_that_finds_a_wrong_type_says_so(api):
    answers(api)
    with closing(opened(block(api, {"records": "length(`1`)"}))) as source:
        reachable, reason = source.check_connection()
    assert not reachable
    assert reason.startswith("JMESPath 'length(`1`)'")


def test_a_rule_by_content_does_not_fit_an_error_that_is_not_json(api):
    answers(api, Reply(b"\xff\xfe<html>no</html>", 404))
    with pytest.raises(requests.HTTPError, match="HTTP 404"):
        ids(block(api, {"pages": PAGES, "errors": [{"when": "error", "then": "skip"}]}))
