"""Placeholders in recordings: one per value, in every encoding."""

import base64
import json

import pytest

from bizon.common.secret_forms import forms_of
from bizon.testing.source_masks import HIDDEN, Masks

KEY = "pl4nted/key+of=the&config"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32-be"])
def test_a_secret_is_found_in_json_of_every_encoding(encoding: str) -> None:
    body = json.dumps({"é": KEY, "n": 1}, ensure_ascii=False).encode(encoding)
    assert json.loads(Masks([KEY]).body(body)) == {"é": "masked-1", "n": 1}


def test_a_secret_is_found_in_bytes_that_are_not_text() -> None:
    body = b"\xff\xfe\xfd" + base64.b64encode(b"ab" + KEY.encode()) + b"\x80" + KEY.encode()
    masked = Masks([KEY]).body(body)
    assert not [form for form in forms_of([KEY]) if form.encode() in masked]
    assert masked.startswith(b"\xff\xfe\xfd")


def test_a_body_without_a_secret_stays_as_it_is() -> None:
    body = json.dumps({"a": "ü"}, ensure_ascii=False).encode("utf-16")
    assert Masks([KEY]).body(body) == body


def test_values_named_like_secrets_get_numbers_of_their_own_and_keep_them() -> None:
    masks = Masks([KEY])
    masks.learn_from(b'{"access_token": "first-token", "next": {"token": "second-token"}, "password": "abc"}')
    masks.learn_from(b"client_secret=third-one&page=2", "https://host/a?api_key=fourth-one&code=fifth-one&page=77777")
    text = "first-token second-token third-one fourth-one fifth-one 77777 abc"
    assert masks.text(text) == "masked-2 masked-3 masked-6 masked-4 masked-5 77777 abc"
    assert masks.text('{"token": "second-token", "password": "abc"}') == (
        f'{{"token": "masked-3", "password": "{HIDDEN}"}}'
    )


def test_a_replay_has_the_placeholders_of_the_recording_with_other_secrets_or_with_placeholders() -> None:
    for secrets in ([KEY, "the-other-one"], ["a-new-key", "the-other-one"], ["masked-1", "masked-2"]):
        encoded = base64.b64encode(secrets[0].encode()).decode()
        assert Masks(secrets).text(f"{secrets[1]} {secrets[0]} {encoded}").startswith("masked-2 masked-1 masked-1")


def test_headers_about_people_and_credentials_are_hidden() -> None:
    masks = Masks([KEY])
    sent = {"Authorization": f"Bearer {KEY}", "Cookie": "a=b", "X-Anything": "me", "Accept": "application/json"}
    assert masks.request_headers(sent) == {**dict.fromkeys(sent, HIDDEN), "Accept": "application/json"}
    got = {"Set-Cookie": ["a=b"], "X-User-Id": ["7"], "Link": [f"</next?k={KEY}>"], "Retry-After": ["1"]}
    shown = {"Link": ["</next?k=masked-1>"], "Retry-After": ["1"]}
    assert masks.answer_headers(got) == {"Set-Cookie": [HIDDEN], "X-User-Id": [HIDDEN], **shown}
