"""The dummy source: three pages of made-up records."""

from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

import bizon.connectors.sources.dummy.src.source as module
from bizon.common.errors.errors import ConfigError
from bizon.common.models import BizonConfig
from bizon.connectors.sources.dummy.src.config import DummySourceConfig
from bizon.connectors.sources.dummy.src.source import DummySource
from bizon.source.auth.authenticators.oauth import Oauth2Authenticator
from bizon.source.auth.authenticators.token import TokenAuthenticator
from bizon.source.discover import validate_stream

EXAMPLE = Path(module.__file__).parents[1] / "config" / "dummy.example.yml"
TOKEN = {"type": "api_key", "params": {"token": "any"}}
OAUTH = {
    "type": "oauth",
    "params": {"token_refresh_endpoint": "http://127.0.0.1:9/token", "client_id": "a", "client_secret": "b"},
}
CREATURES = [
    {"id": 9898, "name": "bizon", "age": 26},
    {"id": 88787, "name": "croco", "age": 23},
    {"id": 98, "name": "froggy", "age": 26},
    {"id": 3333, "name": "turtle", "age": 23},
    {"id": 56565, "name": "poulpo", "age": 26},
]


def make(stream: str = "creatures", **keys) -> DummySource:
    config = {"name": "dummy", "stream": stream, "authentication": TOKEN, **keys}
    return DummySource(DummySourceConfig.model_validate(config))


def pages_of(source: DummySource):
    pages = [source.get({})]
    while pages[-1].next_pagination:
        pages.append(source.get(pages[-1].next_pagination))
    return pages


def test_creatures_come_in_pages_of_two_two_and_one():
    pages = pages_of(make())
    assert [page.next_pagination for page in pages] == [
        {"cursor": "vfvfvuhfefpeiduzhihxb"},
        {"cursor": "final-cursor"},
        {},
    ]
    assert [[record.data for record in page.records] for page in pages] == [
        CREATURES[:2],
        CREATURES[2:4],
        CREATURES[4:],
    ]


def test_plants_have_the_same_ids_and_other_names():
    records = [record for page in pages_of(make("plants")) for record in page.records]
    assert [record.id for record in records] == [str(creature["id"]) for creature in CREATURES]
    assert [record.data["name"] for record in records] == ["tree", "flower", "cactus", "bamboo", "rose"]


def test_the_first_page_needs_no_pagination():
    assert make().get() == make().get({}) == make().get(None)


def test_records_are_not_routed_outside_stream_mode():
    assert {record.destination_id for page in pages_of(make()) for record in page.records} == {None}


def test_an_unknown_cursor_is_an_error():
    with pytest.raises(ValueError, match=r"dummy\.creatures.*'nowhere'"):
        make().get({"cursor": "nowhere"})


def test_the_total_is_five_and_the_connection_fine():
    assert make().get_total_records_count() == 5
    assert make().check_connection() == (True, None)


def test_stream_mode_gives_each_page_once_and_then_empty_ones():
    source = make(sync_mode="stream")
    pages = [source.get() if number % 2 else source.get({}) for number in range(5)]
    assert [[record.data["name"] for record in page.records] for page in pages] == [
        ["bizon", "croco"],
        ["froggy", "turtle"],
        ["poulpo"],
        [],
        [],
    ]


def test_stream_mode_routes_the_page_before_the_last_one():
    source = make("plants", sync_mode="stream")
    routed = [{record.destination_id for record in source.get().records} for _ in range(3)]
    assert routed == [{"plants"}, {"routed"}, {"plants"}]


def test_sleep_waits_before_each_page(monkeypatch):
    waits = []
    monkeypatch.setattr(module.time, "sleep", waits.append)
    pages_of(make(sleep=7))
    assert waits == [7, 7, 7]


def test_api_key_and_oauth_are_accepted_and_no_token_is_fetched():
    assert isinstance(make().session.auth, TokenAuthenticator)
    source = make(authentication=OAUTH)
    assert isinstance(source.session.auth, Oauth2Authenticator)
    assert len(pages_of(source)) == 3


@pytest.mark.parametrize(
    ("keys", "loc"),
    [
        ({"authentication": {"type": "basic", "params": {"username": "a"}}}, ("authentication", "type")),
        ({"authentication": {"type": "api_key", "params": {}}}, ("authentication", "params", "token")),
        ({"authentication": None}, ("authentication",)),
        ({"sleep": -1}, ("sleep",)),
        ({"slep": 1}, ("slep",)),
    ],
)
def test_a_wrong_key_is_an_error_at_its_place(keys, loc):
    with pytest.raises(ValidationError) as caught:
        make(**keys)
    assert [error["loc"] for error in caught.value.errors()] == [loc]


def test_authentication_is_required():
    with pytest.raises(ValidationError, match="authentication"):
        DummySourceConfig.model_validate({"name": "dummy", "stream": "plants"})


@pytest.mark.lesson("F-13")
def test_incremental_is_refused_when_the_config_is_validated():
    """A shipped example used it: its second run hung."""
    with pytest.raises(ConfigError, match="does not support sync_mode incremental"):
        validate_stream(DummySource, make(sync_mode="incremental").config)


@pytest.mark.lesson("F-45")
def test_the_example_is_valid_and_needs_no_account():
    raw = yaml.safe_load(EXAMPLE.read_text())
    assert BizonConfig.model_validate(raw).destination.name == "logger"
    source = DummySource(DummySource.get_config_class().model_validate(raw["source"]))
    validate_stream(DummySource, source.config)
    assert len(pages_of(source)) == 3
