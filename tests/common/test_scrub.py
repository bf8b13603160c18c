"""Secrets leave every text: known ones by value, others by their shape."""

import json
from urllib.parse import quote

import pytest

from bizon.common.scrub import Scrubber
from bizon.common.secret import MASK

TRICKY = 'p@ss/w:rd "1"\n€'


@pytest.mark.lesson("F-27")
@pytest.mark.parametrize("form", [str, quote, json.dumps, repr, lambda text: quote(text, safe="")])
def test_a_known_secret_is_masked_in_every_form(form: object) -> None:
    assert callable(form)
    scrubbed = Scrubber([TRICKY])(f"before {form(TRICKY)} after")
    assert MASK in scrubbed
    assert "w:rd" not in scrubbed
    assert "w%3Ard" not in scrubbed
    assert scrubbed.startswith("before ")
    assert scrubbed.endswith(" after")


def test_a_secret_inside_a_longer_secret_leaves_nothing_of_it() -> None:
    assert Scrubber(["abcd", "abcdefgh"])("abcdefgh abcd") == f"{MASK} {MASK}"


def test_very_short_secrets_are_left_so_that_words_stay_readable() -> None:
    assert Scrubber(["a", ""])("a banana") == "a banana"


@pytest.mark.lesson("F-27")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Authorization: Bearer abc.def", "Authorization: **"),
        ("{'Authorization': 'Basic dXNlcjpwYXNz', 'x': 1}", "{'Authorization': '**', 'x': 1}"),
        ('{"authorization": "token abc", "x": 1}', '{"authorization": "**", "x": 1}'),
        ("headers={'authorization': b'token abc'}", "headers={'authorization': b'**'}"),
        ('Authorization: Digest username="me", response="abc"\nnext', "Authorization: **\nnext"),
        ("sent Bearer hunter2.", "sent Bearer **"),
        ("sent Basic dXNlcjpwYXNz", "sent Basic **"),
        ("POST https://hooks.slack.com/services/T0/B0/abc failed", "POST https://hooks.slack.com/** failed"),
        ("https://discord.com/api/webhooks/12/abc", "https://discord.com/api/webhooks/**"),
        ("postgres://me:hunter2@db:5432/x", "postgres://me:**@db:5432/x"),
        ("postgres://me:p@ss:w@db/x", "postgres://me:**@db/x"),
        ("url: /x?page=1&api_key=abc&n=2", "url: /x?page=1&api_key=**&n=2"),
        ('{"client_secret": "ab\\"c", "n": 1}', '{"client_secret": "**", "n": 1}'),
    ],
)
def test_what_looks_like_a_secret_is_masked(text: str, expected: str) -> None:
    assert Scrubber()(text) == expected.replace("**", MASK)


@pytest.mark.parametrize(
    "text",
    [
        "authentication type bearer or basic",
        "Basic authentication is configured",
        "http://localhost:8080/users/@me",
        "https://api.example.com/items?page=2",
        '{"token_count": 5, "passwords": 3}',
        "check the webhooks settings",
    ],
)
def test_ordinary_text_stays(text: str) -> None:
    assert Scrubber()(text) == text


def test_shapes_can_be_left_alone() -> None:
    assert Scrubber(["s3kret"], patterns=False)("Bearer abc s3kret") == f"Bearer abc {MASK}"
