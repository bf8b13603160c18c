"""No checkpoint has a secret that the API repeats in the name of its next page, and the request has it again."""

import json
import re
from urllib.parse import quote, quote_plus, unquote

import pytest
from connectors.sources.rest.conftest import block, ids, opened, pages_of
from hypothesis import given
from hypothesis import strategies as st
from standins.rest.server import by_cursor, by_url, items

from bizon.common.errors.errors import SourceError
from bizon.common.secret import Secret, learn, registry
from bizon.common.secret_forms import encodings, forms_of
from bizon.connectors.sources.rest.src.hidden import Hidden

SECRET = "Pa+ss/w:rd 11%é"
IN_BODY = {"method": "POST", "json": {"auth": {"password": SECRET}}}


def lower(text):
    """As some servers write it: %2b."""
    return re.sub(r"%..", lambda escape: escape.group().lower(), quote(text, safe=""))


WAYS = [str, quote, quote_plus, lambda text: quote(text, safe=""), lower]


def serve_links(api, link):
    """Pages by ``next_url``; ``link`` makes the text before the place of the next page."""

    def answer(asked):
        page = by_url(items(5), asked._replace(params={"from": asked.params.get("from")}), api.url)
        if page["next"]:
            page["next"] = f"{api.url}/items?{link}&from={page['next'].rpartition('=')[2]}"
        return page

    api.routes["/items"] = answer


def in_checkpoints(pages):
    return json.dumps([page.next_pagination for page in pages], ensure_ascii=False)


@pytest.mark.parametrize("way", WAYS[1:], ids=["path", "form", "url", "lower"])
def test_a_link_with_a_secret_of_the_body(api, way):
    serve_links(api, f"password={way(SECRET)}&page-of={way(f'x{SECRET}y')}")
    pages = pages_of(block(api, {**IN_BODY, "pages": {"type": "next_url", "next": "next"}}))
    assert len(pages) == 3
    found = in_checkpoints(pages)
    assert not [form for form in forms_of([SECRET]) if form in found]
    assert "endpoints.items.json.auth.password" in found
    assert {asked.params["password"] for asked in api.served[1:]} == {SECRET}
    assert {asked.params["page-of"] for asked in api.served[1:]} == {f"x{SECRET}y"}


@pytest.mark.parametrize("where", ["params", "json", "header"])
def test_a_cursor_with_a_secret(api, where):
    secret = "of-a-header-11"

    def answer(asked):
        cursor = asked.params.get("cursor") or asked.headers.get("cursor") or ""
        page = by_cursor(items(5), asked._replace(params={"cursor": cursor.rpartition(":")[2]}))
        page["meta"]["next"] = page["meta"]["next"] and f"{secret}:{page['meta']['next']}"
        return page

    api.routes["/items"] = answer
    pages = {"type": "cursor", "param": "cursor", "next": "meta.next", "where": where}
    endpoint = {"method": "POST", "records": "data.items", "headers": {"X-Key": secret}, "pages": pages}
    found = pages_of(block(api, endpoint))
    assert [record.id for page in found for record in page.records] == ["1", "2", "3", "4", "5"]
    assert secret not in in_checkpoints(found)


def test_the_value_of_a_variable_in_a_key_of_any_name(api):
    serve_links(api, "q=of-a-variable-33")
    source = block(api, {"params": {"q": "of-a-variable-33"}, "pages": {"type": "next_url", "next": "next"}})
    with registry.known_while(["of-a-variable-33"]):
        pages = pages_of(source)
    assert "of-a-variable-33" not in in_checkpoints(pages)
    assert {asked.params["q"] for asked in api.served} == {"of-a-variable-33"}


def resumed_with(api, password):
    """The second page, asked for after the secret has become another one; None removes it."""
    serve_links(api, f"password={SECRET}")
    pages = {"type": "next_url", "next": "next"}
    first = opened(block(api, {**IN_BODY, "pages": pages})).get().next_pagination
    body = {} if password is None else {"json": {"auth": {"password": password}}}
    opened(block(api, {**IN_BODY, **body, "json": body.get("json"), "pages": pages})).get(first)
    return api.served[-1].params["password"]


def test_a_secret_that_was_replaced_is_the_new_one_in_the_next_request(api):
    assert resumed_with(api, "another-secret-22") == "another-secret-22"


def test_a_secret_that_the_configuration_lost_is_an_error_that_names_its_key(api):
    with pytest.raises(SourceError, match=r"the secret at source\.endpoints\.items\.json\.auth\.password, which"):
        resumed_with(api, None)


def test_an_access_token_that_a_link_repeats_is_left_out(api):
    """Each request gets the newest one; the state would keep an old one."""
    token = learn("an-access-token-of-an-hour")
    serve_links(api, f"access_token={token}&of=all")
    pages = pages_of(block(api, {"pages": {"type": "next_url", "next": "next"}}))
    assert token not in in_checkpoints(pages)
    assert {tuple(asked.params) for asked in api.served[1:]} == {("of", "from")}


@pytest.mark.matrix(share=8)
@pytest.mark.parametrize("encoding", encodings("x"))
def test_an_access_token_inside_another_parameter_is_left_out(api, encoding):
    form = encodings(learn("an access/token+of an hour é"))[encoding]
    serve_links(api, f"back={quote(f'/login?{form}&x', safe='')}&of=all")
    pages = pages_of(block(api, {"pages": {"type": "next_url", "next": "next"}}))
    assert form not in unquote(in_checkpoints(pages))
    assert {tuple(asked.params) for asked in api.served[1:]} == {("of", "from")}


@pytest.mark.matrix(share=8)
@pytest.mark.parametrize("encoding", encodings("x"))
def test_a_link_with_the_credentials_of_a_header(api, encoding):
    """The key of the configuration has a word before them, and its braces are doubled."""
    secret = 'Pa+ss/w:rd{11}"%é'
    form = encodings(secret)[encoding]
    serve_links(api, f"k={quote(f'<{form}>', safe='')}")
    header = f"Token {secret.replace('{', '{{').replace('}', '}}')}"
    pages = pages_of(block(api, {"headers": {"Authorization": header}, "pages": {"type": "next_url", "next": "next"}}))
    assert "wc3Mvdz" not in in_checkpoints(pages)
    assert not [each for each in (secret, quote(secret), secret.encode().hex()) if each in in_checkpoints(pages)]
    assert {asked.params.get("k", f"<{form}>") for asked in api.served} == {f"<{form}>"}


@pytest.mark.parametrize("replaced", ["of-a-variable-33", "a-longer-one-of-the-next-week"])
def test_the_value_of_a_variable_in_the_middle_of_a_text(api, replaced):
    api.routes["/of/*"] = lambda asked: by_url(items(5), asked, api.url)
    endpoint = {"path": "/of/of-a-variable-33/items", "pages": {"type": "next_url", "next": "next"}}
    with registry.known_while(["of-a-variable-33"]):
        first = opened(block(api, endpoint)).get().next_pagination
    assert "of-a-variable-33" not in json.dumps(first)
    with registry.known_while([replaced]):
        opened(block(api, {**endpoint, "path": f"/of/{replaced}/items"})).get(first)
    assert api.served[-1].path == f"/of/{replaced}/items"


def test_the_value_of_a_variable_with_braces_in_the_middle_of_a_text(api, monkeypatch):
    """The key of the configuration has its braces doubled, and a link has not."""
    monkeypatch.setenv("BIZON_ENV_KEY", "of-a{variable}-33")
    serve_links(api, f"q={quote('<of-a{variable}-33>')}")
    endpoint = {"params": {"q": "<${env://BIZON_ENV_KEY}>"}, "pages": {"type": "next_url", "next": "next"}}
    with registry.known_while(["of-a{variable}-33"]):
        pages = pages_of(block(api, endpoint))
    assert "variable" not in in_checkpoints(pages)
    assert {asked.params["q"] for asked in api.served} == {"<of-a{variable}-33>"}


def test_a_link_without_a_secret_is_kept_as_it_came(api):
    serve_links(api, "a=%7e&b=1+2&c&d=%2B")
    pages = pages_of(block(api, {**IN_BODY, "pages": {"type": "next_url", "next": "next"}}))
    assert pages[0].next_pagination["page"] == f"{api.url}/items?a=%7e&b=1+2&c&d=%2B&from=2"
    assert ids(block(api, {**IN_BODY, "pages": {"type": "next_url", "next": "next"}})) == ["1", "2", "3", "4", "5"]


@given(
    st.lists(st.text(min_size=4), min_size=1, max_size=3),
    st.lists(st.one_of(st.text(max_size=5), st.integers(0, 2)), max_size=6),
    st.sampled_from(WAYS),
)
def test_every_text_comes_back(secrets, parts, way):
    """An int stands for the secret of that number."""
    hidden = Hidden({"keys": [Secret(secret) for secret in secrets]})
    text = "".join(way(secrets[part % len(secrets)]) if isinstance(part, int) else part for part in parts)
    kept = json.loads(json.dumps(hidden.kept(text)))
    assert hidden.sent(kept) == text
    if isinstance(kept, list):
        assert not any(way(secret) in part for secret in secrets for part in kept if isinstance(part, str))
