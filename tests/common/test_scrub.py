"""Secrets leave every text: known ones by value, others by their shape. Errors are short."""

import base64
import html
import json
import re
from urllib.parse import quote, quote_plus

import pytest
from e2e.planted import encodings, parts_in
from hypothesis import given
from hypothesis import strategies as st

from bizon.common.scrub import MOST_SHOWN, Scrubber
from bizon.common.secret import MASK, registry
from bizon.common.secret_shapes import SHAPES, named_secrets

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
        ("Cookie: session=abc; theme=dark\nnext", "Cookie: **\nnext"),
        ("{'Set-Cookie': 'session=abc; Path=/', 'x': 1}", "{'Set-Cookie': '**', 'x': 1}"),
        ("< X-Auth-Token: abc123", "< X-Auth-Token: **"),
        ('{"private_key": "abc", "page_token": "x"}', '{"private_key": "**", "page_token": "x"}'),
        ("sent Basic dXNlcjpwYXNz", "sent Basic **"),
        ("POST https://hooks.slack.com/services/T0/B0/abc failed", "POST https://hooks.slack.com/** failed"),
        ("https://discord.com/api/webhooks/12/abc", "https://discord.com/api/webhooks/**"),
        ("postgres://me:hunter2@db:5432/x", "postgres://me:**@db:5432/x"),
        ("postgres://me:p@ss:w@db/x", "postgres://me:**@db/x"),
        ("url: /x?page=1&api_key=abc&n=2", "url: /x?page=1&api_key=**&n=2"),
        ('{"client_secret": "ab\\"c", "n": 1}', '{"client_secret": "**", "n": 1}'),
    ],
)
def test_a_text_in_the_shape_of_a_secret_is_masked(text: str, expected: str) -> None:
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
        "cookies are sent, authentication type: cookies",
    ],
)
def test_ordinary_text_stays(text: str) -> None:
    assert Scrubber()(text) == text


@given(data=st.data())
def test_text_that_matches_a_pattern_contains_its_sign(data: st.DataObject) -> None:
    """Only patterns whose sign is in the text are tried."""
    sign, pattern = data.draw(st.sampled_from(SHAPES))
    text = data.draw(st.from_regex(pattern))
    signs = {other for other, same in SHAPES if same == pattern}
    assert not text.isascii() or any(each in text.lower() for each in signs), (sign, text)


def test_letters_that_only_a_pattern_takes_for_ascii_hide_nothing() -> None:
    assert Scrubber()("coo\N{KELVIN SIGN}ie: session") == f"coo\N{KELVIN SIGN}ie: {MASK}"
    assert Scrubber()("author\N{LATIN SMALL LETTER DOTLESS I}zation: abcdef") == (
        f"author\N{LATIN SMALL LETTER DOTLESS I}zation: {MASK}"
    )


def test_shapes_can_be_left_alone() -> None:
    assert Scrubber(["s3kret"], patterns=False)("Bearer abc s3kret") == f"Bearer abc {MASK}"


def _escaped(text: str, signs: str) -> str:
    return "".join(f"\\u{ord(sign):04x}" if sign in signs else sign for sign in json.dumps(text))


def _lower(text: str) -> str:
    return re.sub("%..", lambda escape: escape.group().lower(), quote(text, safe=""))


@pytest.mark.parametrize(
    "encode",
    [
        quote_plus,
        _lower,
        lambda text: quote(text, safe="!'()*~"),  # encodeURIComponent
        html.escape,
        lambda text: json.dumps(text).replace("/", "\\/"),  # PHP
        lambda text: _escaped(text, "<>&='"),  # Gson
        lambda text: _escaped(text, "<>&"),  # Go
        lambda text: text.encode().hex(),
        lambda text: text.encode().hex().upper(),
        lambda text: base64.b64encode(text.encode()).decode(),
        lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
        lambda text: quote(base64.b64encode(text.encode()).decode(), safe=""),
    ],
)
@pytest.mark.parametrize("secret", ["s3kret=a&b<c>/d'e+f~g?h", "Ünïcode-päss/??>>", "Sekret-77-Value"])
def test_no_encoding_shows_a_secret(encode: object, secret: str) -> None:
    assert callable(encode)
    assert encode(secret).strip('"').rstrip("=") not in Scrubber([secret])(f"before {encode(secret)} after")


@pytest.mark.parametrize("user", ["", "u", "us", "user"])
@pytest.mark.parametrize("after", ["", "x", "xy"])
def test_base64_of_a_longer_text_does_not_show_a_secret_in_it(user: str, after: str) -> None:
    """``basic`` in a custom header: base64 of ``user:password`` is not a known value."""
    encoded = base64.b64encode(f"{user}:Sekret-77-Value{after}".encode()).decode()
    shown = Scrubber(["Sekret-77-Value"])(f"X-Auth: {encoded}")
    assert MASK in shown
    for piece in (encoded[i : i + 8] for i in range(len(encoded) - 7)):
        if b"Sekret" in base64.b64decode(encoded)[: encoded.index(piece) * 6 // 8 + 6]:
            assert piece not in shown


def test_a_secret_with_a_last_newline_is_masked_without_it() -> None:
    """A file or a variable often ends in one; a request does not."""
    assert Scrubber(["Sekret-77-Value\n"])("refused: Sekret-77-Value!") == f"refused: {MASK}!"


def test_each_line_of_a_key_is_a_secret() -> None:
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG\nk3nVt8Zq2LdPw0sYhXcA\n-----END KEY-----\n"
    assert "k3nVt8Zq" not in Scrubber([key])("parsed:\n  MIIEvQIBADANBgkqhkiG\n  k3nVt8Zq2LdPw0sYhXcA\n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://a/x?page=2&access_token=abc#top", "https://a/x?page=2&access_token=**#top"),
        ("https://b.s3/x?X-Amz-Credential=a%2Fb&X-Amz-Date=1&X-Amz-Signature=ab12", "?X-Amz-Date"),
        ("https://b.s3/x?AWSAccessKeyId=AKIA1&Signature=ab%2B&Expires=1", "AWSAccessKeyId=**&Signature=**&Expires=1"),
        ("https://x.blob/y?sv=2022&sig=a%2Bb%3D&se=1", "https://x.blob/y?sv=2022&sig=**&se=1"),
        ("https://maps/x?key=AIza1&q=2", "https://maps/x?key=**&q=2"),
        ("/redirect?to=https%3A%2F%2Fa%3Fsig%3Dab12%26page%3D2", "sig%3D**%26page%3D2"),
        ("https://a/x?page_token=abc&next_token=d&monkey=e", "?page_token=abc&next_token=d&monkey=e"),
    ],
)
def test_parameters_of_a_url_that_name_a_credential_are_masked(text: str, expected: str) -> None:
    shown = Scrubber()(text)
    assert expected.replace("**", MASK).replace("?X-Amz-Date", f"X-Amz-Credential={MASK}&X-Amz-Date=1") in shown
    assert "ab12" not in shown


def test_a_value_keeps_its_shape() -> None:
    shown = Scrubber(["Sekret"]).value(
        {
            "n": 1,
            "next": ["https://a/?sig=b", None, {"api_key": "x", "page_token": "y", "z": True}],
            "Sekret": "Sekret!",
        }
    )
    assert shown == {
        "n": 1,
        "next": [f"https://a/?sig={MASK}", None, {"api_key": MASK, "page_token": "y", "z": True}],
        MASK: f"{MASK}!",
    }


def test_an_error_is_short_however_much_a_server_answers() -> None:
    text = "refused: " + "Sekret-77-Value " * 3_000_000
    shown = Scrubber(["Sekret-77-Value"]).brief(text)
    assert len(shown) <= MOST_SHOWN
    assert shown.startswith(f"refused: {MASK} {MASK}")
    assert shown.endswith(" more characters)")
    assert Scrubber().brief(shown) == shown
    assert Scrubber().brief("short") == "short"


@pytest.mark.matrix(share=6)
@pytest.mark.parametrize("padding", [*range(17_960, 18_040), *range(1_900, 2_020, 3)])
def test_a_secret_at_the_cut_is_not_halved(padding: int) -> None:
    shown = Scrubber(["Sekret-77-Value"]).brief("x" * padding + "Sekret-77-Value" * 10 + "y" * 20_000)
    assert "Sekr" not in shown


def test_many_secrets_before_the_cut_show_nothing_after_it() -> None:
    secret = "Sekret-77-Value" * 100
    for padding in range(0, 1_600, 100):
        assert "Sekret" not in Scrubber([secret]).brief("x" * padding + secret * 100)


def test_a_learned_secret_is_masked_by_scrubbers_that_existed_before() -> None:
    scrub = Scrubber(["given-secret"])
    with registry.known_while(["Sekret-77-Value"]):
        assert scrub("given-secret Sekret-77-Value") == f"{MASK} {MASK}"
    assert scrub("given-secret Sekret-77-Value") == f"{MASK} Sekret-77-Value"


def test_a_traceback_shows_lines_and_no_variables() -> None:
    header = "Bearer " + "Sekret-77-Value"
    try:
        raise RuntimeError(header)
    except RuntimeError as error:
        shown = Scrubber(["Sekret-77-Value"]).traceback_of(error)
    assert shown.startswith("Traceback (most recent call last):\n")
    assert "raise RuntimeError(header)" in shown
    assert shown.endswith(f"RuntimeError: Bearer {MASK}")


def test_texts_under_the_names_of_credentials_are_found() -> None:
    config = {"token": "one", "params": [{"client_secret": "two", "n": 1}, "x"], "page_token": "no", "password": 5}
    assert list(named_secrets(config)) == ["one", "two"]


SIGNS = st.characters(codec="utf-8", exclude_categories=("C", "Z"), exclude_characters=";&#@")


@given(
    before=st.sampled_from(["", "Token ", "session=", "?sv=1&sig=", "postgresql://me:"]),
    secret=st.text(SIGNS, min_size=12),
)
def test_no_part_of_a_secret_remains_in_any_encoding(before: str, secret: str) -> None:
    """Also of the credentials in a header, in a signature and in a URL."""
    given_as = f"{before}{secret}@host/x" if before.endswith(":") else f"{before}{secret}"
    scrub = Scrubber([given_as])
    for form in encodings(secret).values():
        assert not parts_in(scrub(f"before {form} after"), secret)


@pytest.mark.parametrize(
    "text", ["correct horse", "a=b; c=d", "{not JSON", '{"private_key": "bad \\q escape"}', "://:@"]
)
def test_an_odd_secret_is_masked_as_a_whole(text: str) -> None:
    assert Scrubber([text])(f"before {text} after") == f"before {MASK} after"


def test_the_key_in_a_service_account_is_a_secret() -> None:
    key = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG\n-----END PRIVATE KEY-----\n"
    account = json.dumps({"client_email": "me@project", "private_key": key, "token_uri": "https://oauth2/token"})
    shown = Scrubber([account])(f"me@project cannot sign with {key} at https://oauth2/token: MIIEvQIBADANBgkqhkiG")
    assert shown == f"me@project cannot sign with {MASK} at https://oauth2/token: {MASK}"


def test_a_path_that_a_server_quotes_once_more_is_masked() -> None:
    """A request has the comma as it is, and the server has no such exception."""
    for sent in ("/of/a,b%20c%7B1%7D/items", "/of/a%2Cb%20c%7B1%7D/items"):
        assert Scrubber(["a,b c{1}"])(f"nothing at {quote(sent)}") == f"nothing at /of/{MASK}/items"


@pytest.mark.parametrize("encoding", encodings("x"))
def test_a_line_of_a_key_is_a_secret_in_every_encoding(encoding: str) -> None:
    key = "-----BEGIN PRIVATE KEY-----\nMIIEvQ/BADAN+gkqhkiG==\nMIIEvQ/BADAN+gkqhkiH==\n-----END PRIVATE KEY-----\n"
    account = json.dumps({"client_email": "me@project", "private_key": key})
    form = encodings("MIIEvQ/BADAN+gkqhkiH==")[encoding]
    assert Scrubber([account])(f"no key <{form}>") == f"no key <{MASK}>"
