"""Mistakes in the dialect: file, line, column, key and nearest key; a caret below an expression."""

from pathlib import Path
from urllib.parse import unquote

import pytest
from connectors.sources.rest.conftest import block, opened

from bizon.common.errors.errors import ConfigError
from bizon.connectors.sources.rest.src import presets
from bizon.connectors.sources.rest.src.selector import holds, selected
from bizon.engine.engine import load_config

HEAD = """name: x
source:
  name: rest
  stream: items
  base_url: https://api.example.com
"""
TAIL = "destination: {name: logger}\n"


def mistakes(tmp_path: Path, text: str) -> list[str]:
    """The lines of the error, without the path of the file."""
    file = tmp_path / "c.yml"
    file.write_text(HEAD + text + TAIL)
    with pytest.raises(ConfigError) as caught:
        load_config(file)
    return str(caught.value).replace(f"{file}:", "").split("\n")


def endpoint(text: str) -> str:
    return f"  endpoints:\n    items:\n      path: /items\n{text}"


MISTAKES = [
    (
        endpoint("      recods: items\n"),
        ["9:7: source.endpoints.items.recods: unknown key; allowed: path, method, params, headers, j..."],
    ),
    (
        endpoint("      pages: {type: page, parm: page}\n"),
        [
            "9:7: source.endpoints.items.pages.param: required key is missing",
            "9:27: source.endpoints.items.pages.parm: unknown key; allowed: total, strict, cap, size_pa...",
        ],
    ),
    (
        endpoint("      pages: {type: link_heder}\n"),
        ["9:21: source.endpoints.items.pages.type: unknown value 'link_heder'; allowed: none, cursor..."],
    ),
    (
        endpoint("      records: data..items\n"),
        [
            "9:16: source.endpoints.items.records: not valid JMESPath: '..' is JSONPath; name the keys ...",
            "    data..items",
            "         ^",
        ],
    ),
    (
        endpoint("      where: \"status ! 'x'\"\n"),
        ["9:14: source.endpoints.items.where: not valid JMESPath: unexpected '!'", "    status ! 'x'", "           ^"],
    ),
    (
        endpoint("      where: startswith(name)\n"),
        [
            "9:14: source.endpoints.items.where: JMESPath has no function startswith; did you mean 'starts_with'?",
            "    startswith(name)",
            "    ^",
        ],
    ),
    (
        endpoint("      where: starts_with(name)\n"),
        [
            "9:14: source.endpoints.items.where: starts_with takes 2 argument(s), not 1",
            "    starts_with(name)",
            "    ^",
        ],
    ),
    (
        endpoint('      params: {q: "after {snce}"}\n'),
        [
            "9:7: source.endpoints.items.params: unknown name in braces; allowed: parent.KEY, variables...",
            "    after {snce}",
            "           ^",
        ],
    ),
    (
        endpoint('      params: {after: "{record.id}"}\n'),
        [
            "9:7: source.endpoints.items.params: unknown name in braces; allowed: parent.KEY, variables...",
            "    {record.id}",
            "     ^",
        ],
    ),
    (endpoint('      params: {q: "{since}"}\n'), ["7:5: source.endpoints.items: {since} needs `incremental.since`"]),
    (
        endpoint('      method: POST\n      json: {q: "{parnt.id}"}\n'),
        [
            "10:7: source.endpoints.items.json: unknown name in braces; allowed: parent.KEY, variables....",
            "    {parnt.id}",
            "     ^",
        ],
    ),
    (
        "  endpoints:\n    items: {path: '/a/{parent.id'}\n",
        [
            "7:19: source.endpoints.items.path: a brace without its partner; write {{ or }} for the character",
            "    /a/{parent.id",
            "       ^",
        ],
    ),
    (
        "  endpoints:\n    items: {path: '/a/{parent.id}'}\n",
        ["7:19: source.endpoints.items.path: {parent.id} has no value here; allowed: {variables.KEY}"],
    ),
    (
        "  endpoints:\n    items: {path: '/a/{token}'}\n",
        ["7:19: source.endpoints.items.path: {token} has no value here; allowed: {variables.KEY}"],
    ),
    (
        "  endpoints:\n    items: {path: '/a/{variables.org}'}\n",
        ["2:1: source.variables.org: `{variables.org}` is used, and has no value"],
    ),
    (
        '  defaults: {params: {a: "{parent.id}"}}\n' + endpoint(""),
        ["6:14: source.defaults.params: {parent.id} has no value here; allowed: {variables.KEY}, {si..."],
    ),
    (endpoint("      json: {a: 1}\n"), ["9:7: source.endpoints.items.json: a body needs `method: POST`"]),
    (
        endpoint("      pages: {type: page, param: p, where: json}\n"),
        ["9:7: source.endpoints.items.pages: `where: json` needs `method: POST`"],
    ),
    (
        endpoint("      pages: {type: page, param: p, where: path}\n"),
        ["8:13: source.endpoints.items.path: `pages.where: path` needs `{page}` in the path"],
    ),
    (
        endpoint("      pages: {type: page, param: p, size_param: n}\n"),
        ["9:7: source.endpoints.items.pages: `size_param` needs `size`"],
    ),
    (endpoint("      parent: {stream: itms}\n"), ["9:24: source.endpoints.items.parent.stream: no such endpoint"]),
    (
        endpoint("      errors: [{then: skip}, {status: 4040, then: skip}]\n"),
        [
            "9:16: source.endpoints.items.errors[0]: a rule needs `status`, `when`, or both",
            "9:31: source.endpoints.items.errors[1].status[0]: must be at most 599",
        ],
    ),
    (
        endpoint("      incremental: {cursor_field: a, window: 7d, since: {param: s}}\n"),
        ["9:7: source.endpoints.items.incremental: `window` needs `since` and `until`, the two ends ..."],
    ),
    (
        endpoint("      incremental: {cursor_field: a, window: 7 days, start: soon, zone: Mars/Base}\n"),
        [
            "9:46: source.endpoints.items.incremental.window: must be a duration like 30s, 2m, 6h, 7d o...",
            "9:61: source.endpoints.items.incremental.start: must be a date, or a date and time, in ISO...",
            "9:73: source.endpoints.items.incremental.zone: unknown time zone; use a name like UTC or E...",
        ],
    ),
    (
        endpoint("      incremental: {cursor_field: a, since: {param: s, format: '%H:%M'}}\n"),
        ["9:64: source.endpoints.items.incremental.since.format: must be iso8601, date, epoch, epoch..."],
    ),
    (
        "  preset: githb\n",
        ["6:11: source.preset: no such preset; allowed: github, hubspot, pokeapi, stripe; did you me..."],
    ),
    (
        "  sync_mode: incremental\n" + endpoint(""),
        ["6:14: source.sync_mode: endpoint 'items' has no `incremental`, which says how to ask for changes"],
    ),
    (
        "  sync_mode: stream\n" + endpoint(""),
        ["6:14: source.sync_mode: an API has no endless stream; use full_refresh or incremental"],
    ),
    (
        "  http: {concurency: 3}\n" + endpoint(""),
        ["6:10: source.http.concurency: unknown key; allowed: timeout, raise_for_status, retries, ra..."],
    ),
]


@pytest.mark.parametrize(("text", "lines"), MISTAKES)
def test_a_mistake_is_named_with_its_place(tmp_path, text, lines):
    """A line that ends with ``...`` is shortened here."""
    found = mistakes(tmp_path, text)
    assert len(found) == len(lines), found
    for one, line in zip(found, lines, strict=True):
        assert one.startswith(line.removesuffix("...")) if line.endswith("...") else one == line


def test_braces_of_a_body_are_left_alone_and_doubled_ones_of_a_text_are_braces(api):
    api.routes["/items"] = lambda asked: {"items": []}
    endpoint = {
        "method": "POST",
        "params": {"q": "{{since}} {{x}}", "v": "{variables.v}"},
        "json": {"query": "{page{token{id}}} {x}", "n": "{variables.v}", "text": "v {variables.v}"},
    }
    list(opened(block(api, endpoint, variables={"v": 7})).get({}).records)
    assert api.served[0].params == {
        "q": "{since} {x}",
        "v": "7",
        "query": "{page{token{id}}} {x}",
        "n": 7,
        "text": "v 7",
    }


def test_a_path_on_another_host_is_a_mistake(tmp_path):
    text = "  endpoints: {items: {path: 'https://evil.example/items'}}\n"
    assert "leads to another host than `base_url`" in mistakes(tmp_path, text)[0]


def test_a_stream_is_one_of_the_endpoints(tmp_path):
    text = "  endpoints: {users: {path: /users}, item: {path: /item}}\n"
    assert mistakes(tmp_path, text) == [
        "4:11: source.stream: no such endpoint; allowed: users, item; did you mean 'item'?"
    ]


@pytest.mark.parametrize("value", ["k{1}", "k{since}", "{{variables.v}}", "{", "a}{{b"])
def test_braces_in_the_value_of_a_variable_are_characters(api, monkeypatch, value):
    """A generated API key may have any; in a text they would be names, or a mistake."""
    monkeypatch.setenv("BIZON_ENV_KEY", value)
    api.routes["/of/*"] = lambda asked: {"items": []}
    inside = "${env://BIZON_ENV_KEY}"
    endpoint = {
        "path": f"/of/{inside}/items",
        "params": {"q": "BIZON_ENV_KEY", "l": [f"{inside} {{variables.v}}"], "{inside}": inside},
        "headers": {"X-Key": f"Token {inside}"},
    }
    list(opened(block(api, endpoint, variables={"v": 7})).get({}).records)
    [asked] = api.served
    assert unquote(asked.path) == f"/of/{value}/items"
    assert asked.params == {"q": value, "l": f"{value} 7", "{inside}": value}
    assert asked.headers["x-key"] == f"Token {value}"


def test_the_value_of_a_variable_with_braces_is_in_no_error(tmp_path, monkeypatch):
    monkeypatch.setenv("BIZON_ENV_KEY", "k{1}-of-the-api")
    text = endpoint('      params: {q: "${env://BIZON_ENV_KEY} {x}"}\n')
    shown = "\n".join(mistakes(tmp_path, text))
    assert "unknown name in braces" in shown
    assert "of-the-api" not in shown


def test_no_secret_is_in_the_error_of_an_expression(tmp_path, monkeypatch):
    monkeypatch.setenv("BIZON_ENV_KEY", "s3cret-key")
    text = endpoint('      params: {q: "${env://BIZON_ENV_KEY} {x}"}\n')
    assert "s3cret-key" not in "\n".join(mistakes(tmp_path, text))


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("$.data.items", [1]),
        ("data.items", [1]),
        ("$.data.items[*]", [1]),
        ("$", {"data": {"items": [1]}}),
        ('"data"."items"', [1]),
        ("missing.items", None),
    ],
)
def test_selectors_of_other_tools_paste_in(expression, found):
    assert selected(expression, {"data": {"items": [1]}}) == found


@pytest.mark.parametrize(
    ("value", "is_true"),
    [
        (None, False),
        (False, False),
        (0, False),
        ("", False),
        ([], False),
        ({}, False),
        (1, True),
        ("no", True),
        ([0], True),
    ],
)
def test_an_expression_holds_unless_it_is_empty_or_false(value, is_true):
    assert holds("a", {"a": value}) is is_true


def test_endpoints_of_a_preset_are_changed_key_by_key(api):
    source = opened(
        {
            "name": "rest",
            "preset": "pokeapi",
            "stream": "pokemon",
            "base_url": api.url,
            "endpoints": {"pokemon": {"params": {"limit": 5}, "pages": {"type": "none"}}, "mine": {"path": "/mine"}},
        }
    )
    endpoints = source.config.endpoints
    assert {"pokemon", "berry", "mine"} <= endpoints.keys()
    assert (endpoints["pokemon"].records, endpoints["pokemon"].params) == ("results", {"limit": 5})
    assert endpoints["pokemon"].pages.type == "none"


@pytest.mark.parametrize("name", presets.names())
def test_every_stream_of_a_preset_is_valid(name, tmp_path):
    for stream in presets.read(name)["endpoints"]:
        file = tmp_path / "c.yml"
        variables = "{org: o, object: p_cars}"
        file.write_text(
            f"name: x\nsource: {{name: rest, preset: {name}, stream: {stream}, variables: {variables}}}\n{TAIL}"
        )
        assert load_config(file).config.source.stream == stream


def test_numbers_in_headers_are_text(api):
    source = opened(block(api, {"headers": {"X-Version": 2}}))
    assert source.config.endpoint.headers == {"X-Version": "2"}


def test_a_file_that_signs_is_found_next_to_the_configuration(tmp_path, monkeypatch):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "signer.py").touch()
    (folder / "c.yml").write_text(HEAD + "  signing: {file: signer.py}\n" + endpoint("") + TAIL)
    monkeypatch.chdir(tmp_path)
    assert load_config(folder / "c.yml").config.source.signing.file == str(folder / "signer.py")


def test_signing_excludes_other_credentials(tmp_path):
    keys = "  signing: {file: s.py}\n  authentication: {type: bearer, params: {token: abcdef}}\n"
    found = mistakes(tmp_path, keys + endpoint(""))
    assert found == ["6:3: source.signing: `authentication` is set, too; keep one of them"]
