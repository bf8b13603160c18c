"""Secrets are text for connectors and masked everywhere else."""

import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from pydantic import BaseModel, ValidationError

from bizon.common.secret import MASK, Secret, SecretRegistry, SecretText, iter_secrets, learn, registry


class Login(BaseModel):
    user: str = "me"
    password: SecretText = ""
    headers: dict[str, SecretText] = {}
    more: "list[Login]" = []


@pytest.mark.lesson("F-27")
def test_a_secret_is_masked_wherever_a_config_is_shown() -> None:
    """print(config) used to show tokens and passwords."""
    login = Login(password="s3kret", headers={"X-Key": "hush"})
    for text in (repr(login), str(login), login.model_dump_json(), repr(login.model_dump())):
        assert "s3kret" not in text
        assert "hush" not in text
        assert MASK in text


def test_a_connector_uses_it_as_text() -> None:
    login = Login(password="s3kret")
    assert f"Bearer {login.password}" == "Bearer s3kret"
    assert isinstance(login.password, Secret)
    assert login.password.get_secret_value() == "s3kret"


def test_an_empty_secret_is_shown_as_empty() -> None:
    assert repr(Login().password) == "''"


def test_a_secret_survives_pickling_to_another_process() -> None:
    copy = pickle.loads(pickle.dumps(Login(password="s3kret")))
    assert isinstance(copy.password, Secret)
    assert copy.password == "s3kret"


def test_a_secret_must_be_a_text() -> None:
    with pytest.raises(ValidationError):
        Login.model_validate({"password": 3})


def test_all_secrets_of_a_config_are_found() -> None:
    login = Login(password="one", headers={"a": "two"}, more=[Login(password="three"), Login()])
    assert sorted(iter_secrets(login)) == ["one", "three", "two"]
    assert list(iter_secrets(("x", {"k": Secret("y")}))) == ["y"]


def test_the_schema_marks_it_as_a_password() -> None:
    assert Login.model_json_schema()["$defs"]["Login"]["properties"]["password"]["format"] == "password"


@pytest.fixture
def _forgotten() -> Iterator[None]:
    yield
    registry.forget()


@pytest.mark.usefixtures("_forgotten")
def test_a_learned_secret_is_returned_unchanged_and_is_known() -> None:
    token = Secret("Learned-55-Token")
    assert learn(token) is token
    assert "Learned-55-Token" in registry.values()
    assert learn("abc") == "abc"
    assert "abc" not in registry.values()


def test_the_newest_256_are_kept_and_one_that_is_met_again_is_new() -> None:
    own = SecretRegistry()
    for number in range(256):
        own.learn(f"token-{number}")
    own.learn("token-0")
    own.learn("token-256")
    assert len(own.learned()) == 256
    assert {"token-0", "token-2", "token-256"} <= own.learned()
    assert "token-1" not in own.learned()


def test_values_of_two_runs_are_known_until_the_last_ends() -> None:
    own = SecretRegistry()
    with own.known_while(["shared-secret", "one-secret"]):
        with own.known_while(["shared-secret"]):
            assert own.values() == {"shared-secret", "one-secret"}
        assert own.values() == {"shared-secret", "one-secret"}
    assert own.values() == frozenset()


def test_a_listener_gets_a_value_once_before_it_is_used() -> None:
    own = SecretRegistry()
    told: list[str] = []
    with own.announced_to(told.append):
        own.learn("first-token")
        own.learn("first-token")
    own.learn("second-token")
    assert told == ["first-token"]


def test_threads_may_learn_at_once() -> None:
    own = SecretRegistry()
    told: list[str] = []
    with own.announced_to(told.append), ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: own.learn(f"token-{number % 100}"), range(1_000)))
    assert sorted(told) == sorted(own.learned()) == sorted(f"token-{number}" for number in range(100))
