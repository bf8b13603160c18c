"""Numbers of an API arrive with the text that it sent."""

import gzip
import json
import re

import pytest
from connectors.sources.rest.conftest import block, opened, records_of
from standins.rest.server import Reply

from bizon.connectors.sources.rest.src.progress import _digest
from bizon.rows.frames import encode_data
from bizon.rows.kept_json import loads_kept

NUMBERS = [
    "1.10", "1e400", "-1E5", "12345678901234567890123", "0.1000000000000000055", "-0", "-0.0", "1.0",
    "0.30000000000000004", "9" * 5000,
]  # fmt: skip
RECORD = '{"id":1,"n":[' + ",".join(NUMBERS) + '],"deep":{"price":2.50}}'
PAGE = f'{{"items":[{RECORD}],"at":1.50}}'


def answering(api, body, label="application/json", path="/items"):
    api.routes[path] = lambda asked: Reply(body, headers={"Content-Type": label})


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize(
    ("body", "label", "records"),
    [
        (PAGE, "application/json", "items"),
        (PAGE.replace(",", " , ").replace(":", " : "), "application/json", "items"),
        (RECORD + "\n", "application/x-ndjson", "@"),
    ],
    ids=["json", "spaced", "ndjson"],
)
def test_each_number_keeps_its_text(api, body, label, records, pack):
    answering(api, pack(body.encode()), label)
    (record,) = records_of(block(api, {"records": records}))
    assert encode_data(record.data).decode() == RECORD


def test_the_command_writes_each_number_as_it_came(run_cli, write_config, api, tmp_path):
    rules = {"where": "deep.price > `2`", "deleted": "n[0] < `1.2`", "timestamp": "at"}
    sent = RECORD[:-1] + ',"at":"2024-05-01T10:00:00Z"}'
    answering(api, f'{{"items":[{sent},{sent.replace("2.50", "1.50")}]}}'.encode())
    target = {"name": "file", "config": {"destination_id": "out", "format": "json"}}
    config = write_config({"name": "p", "source": block(api, rules), "destination": target})
    assert run_cli("run", config, cwd=tmp_path).returncode == 0
    (line,) = (tmp_path / "out.json").read_text().splitlines()
    data = json.loads(line)["source_data"]
    assert data == sent[:-1] + ',"_deleted":true}'
    assert '"source_timestamp":"2024-05-01T10:00:00' in line


def test_functions_of_a_selector_take_such_numbers(api):
    answering(api, b'[{"id":1,"a":[1.10,2.20]},{"id":2,"a":[9.90]}]')
    found = records_of(block(api, {"records": "sort_by(@, &a[0])", "where": "sum(a) < `4` && max(a) >= `2.2`"}))
    assert [each.id for each in found] == ["1"]


def test_a_child_gets_the_number_of_its_parent_as_it_was_sent_after_a_restart_too(api):
    answering(api, b'[{"id":1.10,"code":1.10,"rate":0.1000000000000000055}]', path="/shops")
    answering(api, b'[{"id":7}]', path="/shops/1.10")
    shops = {"path": "/shops", "id": "to_string(code)"}
    items = {"path": "/shops/{parent.code}", "parent": {"stream": "shops", "include": {"rate": "rate"}}, "records": "@"}
    (record,) = records_of(block(api, {}, endpoints={"shops": shops, "items": items}))
    assert encode_data(record.data) == b'{"id":7,"rate":0.1000000000000000055}'


@pytest.mark.parametrize(
    "pages",
    [{"type": "cursor", "param": "after", "next": "next"}, {"type": "keyset", "param": "after", "key": "at"}],
    ids=["cursor", "keyset"],
)
def test_a_cursor_goes_back_with_the_text_it_had(api, pages):
    first, last = b'{"items":[{"id":1,"at":17.10}],"next":17.10}', b'{"items":[],"next":null}'
    api.routes["/items"] = lambda asked: Reply(last if asked.params else first)
    assert len(records_of(block(api, {"pages": pages}))) == 1
    assert [asked.params for asked in api.served][-1] == {"after": "17.10"}


@pytest.mark.parametrize("number", ["1.10", "12345678901234567890", "123456789012345678901234567890", "-0.10", "1e400"])
@pytest.mark.parametrize("style", ["cursor", "keyset"])
def test_a_number_in_a_body_is_the_one_that_was_sent_after_a_restart_too(api, style, number):
    """It was a float: the API got 1.1, 1.2345678901234567e19, or nothing that is JSON."""
    pages = {"type": style, "where": "json", "param": "page.after"}
    pages |= {"next": "next"} if style == "cursor" else {"key": "at"}
    first, last = f'{{"items":[{{"id":1,"at":{number}}}],"next":{number}}}', '{"items":[],"next":null}'
    api.routes["/items"] = lambda asked: Reply((last if "page" in asked.params else first).encode())
    assert len(records_of(block(api, {"method": "POST", "json": {"size": 10}, "pages": pages}))) == 1
    asked = api.served[-1]
    assert asked.body.decode() == f'{{"size": 10, "page": {{"after": {number}}}}}'
    assert asked.headers["content-type"] == "application/json"


def test_two_cursors_that_differ_in_a_digit_beyond_a_float_are_two_pages(api):
    pages = {"type": "cursor", "where": "json", "param": "after", "next": "next"}
    tokens = ["0.1000000000000000055", "0.1000000000000000056", "null"]
    answers = iter(f'{{"items":[{{"id":{number}}}],"next":{token}}}' for number, token in enumerate(tokens))
    api.routes["/items"] = lambda asked: Reply(next(answers).encode())
    assert len(records_of(block(api, {"method": "POST", "pages": pages}))) == 3


@pytest.mark.parametrize("number", ["1.10", "12345678901234567890", "123456789012345678901234567890"])
def test_a_body_has_the_number_of_the_parent_as_it_was_sent_after_a_restart_too(api, number):
    answering(api, f'[{{"id":1,"code":{number}}}]'.encode(), path="/shops")
    answering(api, b'{"items":[{"id":7}]}')
    shops = {"path": "/shops"}
    body = {"shop": "{parent.code}", "text": "of {parent.code}"}
    items = {"path": "/items", "method": "POST", "json": body, "parent": {"stream": "shops"}, "records": "items"}
    records_of(block(api, {}, endpoints={"shops": shops, "items": items}))
    assert api.served[-1].body.decode() == f'{{"shop": {number}, "text": "of {number}"}}'


def test_a_cursor_of_an_older_checkpoint_is_sent_as_it_was_kept(api):
    answering(api, b'{"items":[],"next":null}')
    pages = {"type": "cursor", "param": "after", "next": "next"}
    opened(block(api, {"pages": pages})).get(
        {"window": [None, None], "page": "17.10", "past": [1, 1, 0, None, None, "17.10"]}
    )
    assert api.served[-1].params == {"after": "17.10"}


def test_pages_that_differ_in_a_digit_beyond_a_float_are_two_pages():
    one, other = ([loads_kept(f'{{"n":0.100000000000000005{digit}}}')] for digit in (5, 6))
    assert one == other
    assert _digest(one) != _digest(other)


@pytest.mark.parametrize("text", ['{"a":1.10', "[1.10,]", "[1.10]x", '{"a":-0', "[" * 100_000 + "1.10" + "]" * 100_000])
def test_a_broken_body_is_an_error_that_names_the_request(api, text):
    answering(api, text.encode())
    with pytest.raises(Exception, match=re.escape("GET " + api.url + "/items")) as refused:
        records_of(block(api, {"records": "@"}))
    assert "the body is not valid JSON" in str(refused.value)


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: number[:20])
def test_such_a_number_is_a_number(number):
    (found,) = loads_kept(f"[{number}]")
    assert isinstance(found, int | float)
    assert found == float(number) or isinstance(found, int)
