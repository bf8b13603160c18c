"""Secrets are text for connectors and masked for everybody else."""

import pickle

import pytest
from pydantic import BaseModel, ValidationError

from bizon.common.secret import MASK, Secret, SecretText, iter_secrets


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


def test_a_secret_survives_the_way_to_another_process() -> None:
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
