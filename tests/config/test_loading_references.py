"""Environment variables: their files, and references to them."""

import copy
import os
import pickle
from pathlib import Path
from typing import Any

import pytest

from bizon.common.errors.errors import ConfigError
from bizon.config.document import document_from_dict, load_yaml
from bizon.config.references import load_env_files, resolve_env
from bizon.config.strict import TextWithValues


def resolved(data: dict[str, Any], **environ: str) -> dict[str, Any]:
    return resolve_env(document_from_dict(data), environ).document.data


@pytest.mark.lesson("F-28")
def test_a_whole_value_is_the_name_of_a_variable_also_in_lists() -> None:
    """Values in lists used to stay as they were."""
    data = {"a": "BIZON_ENV_X", "b": [{"c": "BIZON_ENV_X"}, "BIZON_ENV_X"]}
    assert resolved(data, BIZON_ENV_X="v") == {"a": "v", "b": [{"c": "v"}, "v"]}
    assert data["a"] == "BIZON_ENV_X", "what the caller gave is not changed"


def test_inline_references_are_replaced_anywhere_in_a_text() -> None:
    assert resolved({"a": "x-${env://P}-${env://Q}"}, P="1", Q="2") == {"a": "x-1-2"}


def test_a_text_knows_which_of_its_parts_are_values() -> None:
    """A key whose texts have a syntax reads the values as they are."""
    data = resolved({"a": "{x}${env://P}{y}", "b": "BIZON_ENV_Q", "c": "{z}"}, P="{p}", BIZON_ENV_Q="{q}")
    for text, quoted in ((data["a"], "{x}<{p}>{y}"), (data["b"], "<{q}>")):
        assert isinstance(text, TextWithValues)
        for same in (text, copy.deepcopy(text), pickle.loads(pickle.dumps(text))):
            assert same.quoted(lambda value: f"<{value}>") == quoted
    assert type(data["c"]) is str


def test_a_value_from_a_variable_is_not_resolved_again() -> None:
    assert resolved({"a": "${env://P}"}, P="${env://Q} BIZON_ENV_R") == {"a": "${env://Q} BIZON_ENV_R"}


def test_a_doubled_dollar_keeps_the_text() -> None:
    assert resolved({"a": "$${env://P} $${gsm://x}"}) == {"a": "${env://P} ${gsm://x}"}


@pytest.mark.parametrize("text", ["${HOME}", "$HOME", "{env://P}", "https://h/p", "MY_BIZON_ENV_X"])
def test_other_texts_stay(text: str) -> None:
    assert resolved({"a": text}) == {"a": text}


@pytest.mark.lesson("F-28")
@pytest.mark.parametrize("python", ["data['x'] = f'${env://NOPE}'", "x = '${a://b}'", "BIZON_ENV_NOPE = 1"])
def test_code_is_never_resolved(python: str) -> None:
    """A snippet with a dollar and braces used to stop the run before it began."""
    data = {"transforms": [{"label": "t", "python": python}]}
    assert resolved(data) == data


@pytest.mark.lesson("F-28")
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("BIZON_ENV_X", "environment variable BIZON_ENV_X is not set"),
        ("${env://OTHER}", "environment variable OTHER is not set"),
        ("BIZON_ENV_X/path", r"the whole text is taken as the name; inside a longer text write ${env://BIZON_ENV_X}"),
        ("a ${gsm://x}", r"unknown reference ${gsm://...}; known: ${env://NAME}"),
        ("a ${env://}", r"malformed reference; write ${env://NAME}"),
        ("a ${env://X", r"malformed reference; write ${env://NAME}"),
    ],
)
def test_an_unresolvable_reference_names_file_line_key_and_variable(tmp_path: Path, value: str, expected: str) -> None:
    """An unset variable used to become None, and to cause 48 lines of unrelated traceback."""
    path = tmp_path / "pipe.yml"
    path.write_text(f"name: p\nsource:\n  token: {value}\n")
    with pytest.raises(ConfigError) as caught:
        resolve_env(load_yaml(path), {})
    assert f"{path}:3:10: source.token: " in str(caught.value)
    assert expected in str(caught.value)


def test_all_unset_variables_are_named_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        resolved({"a": "BIZON_ENV_A", "b": ["${env://B}"]})
    assert [line.split(": ")[1] for line in str(caught.value).splitlines()] == ["a", "b[0]"]


@pytest.mark.lesson("F-27")
def test_values_put_in_are_secrets_unless_their_key_is_public_or_they_are_short() -> None:
    data = {"token": "BIZON_ENV_T", "stream": "BIZON_ENV_S", "n": "BIZON_ENV_N", "flag": "BIZON_ENV_F"}
    environ = {
        "BIZON_ENV_T": "s3kret",
        "BIZON_ENV_S": "creatures",
        "BIZON_ENV_N": "50",
        "BIZON_ENV_F": "true",
    }
    assert resolve_env(document_from_dict(data), environ).secrets == {"s3kret"}


@pytest.mark.parametrize(
    ("url", "is_secret"),
    [
        ("https://api.example.com", False),
        ("http://localhost:8080/", False),
        ("https://api.example.com/rest/v2.1", False),
        ("https://user:pw@api.example.com", True),
        ("https://api.example.com/?key=k", True),
        ("https://api.example.com/T024/B0G1", True),
        ("https://api.example.com/averylongsecretword", True),
        ("postgresql://db.example.com/orders", True),
    ],
)
def test_the_address_of_a_service_is_a_secret_only_with_a_part_that_may_be_one(url: str, is_secret: bool) -> None:
    """An unreachable host was shown as `GET **********/items`, so nobody saw which one."""
    found = resolve_env(document_from_dict({"base_url": "BIZON_ENV_U"}), {"BIZON_ENV_U": url}).secrets
    assert found == ({url} if is_secret else set())
    assert resolve_env(document_from_dict({"password": "BIZON_ENV_U"}), {"BIZON_ENV_U": url}).secrets == {url}


@pytest.mark.lesson("F-23")
def test_env_files_are_read_in_order_and_the_real_environment_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The .env of the working directory used to be searched next to the installed package."""
    work, near, given = tmp_path / "work", tmp_path / "conf", tmp_path / "given.env"
    work.mkdir()
    near.mkdir()
    near.joinpath(".env").write_text("A=near\nB=near\nC=near\nD=near\n")
    work.joinpath(".env").write_text("A=work\nB=work\nC=work\n")
    given.write_text("A=given\nB=given\n# comment\nEMPTY\nQUOTED='a b'\n")
    monkeypatch.chdir(work)
    found = load_env_files(near / "pipe.yml", given, {"A": "real"})
    assert found == {"A": "real", "B": "given", "C": "work", "D": "near", "QUOTED": "a b"}


@pytest.mark.lesson("F-47")
def test_the_process_environment_is_not_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables from files used to be written to os.environ, where a second pipeline found them."""
    (tmp_path / ".env").write_text("BIZON_ENV_FROM_FILE=x\n")
    monkeypatch.chdir(tmp_path)
    before = dict(os.environ)
    assert load_env_files("pipe.yml", None, os.environ)["BIZON_ENV_FROM_FILE"] == "x"
    assert dict(os.environ) == before


def test_an_env_file_that_was_asked_for_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--env-file .*none: no such file"):
        load_env_files("pipe.yml", tmp_path / "none", {})


def test_an_env_file_that_is_not_text_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "x.env").write_bytes(b"A=\xff\n")
    with pytest.raises(ConfigError, match=r"x\.env: not UTF-8 text"):
        load_env_files("pipe.yml", tmp_path / "x.env", {})


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A='pa${x}ss'", "pa${x}ss"),
        ("A=pa${HOME}ss", "pa${HOME}ss"),
        ('A="pa${HOME}ss"', "pa${HOME}ss"),
        ("A=$HOME", "$HOME"),
        ("A='a b # c'", "a b # c"),
    ],
)
def test_the_value_of_a_file_arrives_as_it_is_written(tmp_path: Path, line: str, value: str) -> None:
    """Dollar and braces of a password used to be read as a variable, and to vanish."""
    (tmp_path / "x.env").write_text(f"{line}\n")
    assert load_env_files("pipe.yml", tmp_path / "x.env", {"HOME": "/root"})["A"] == value


def test_an_env_file_whose_name_is_too_long_is_one_message() -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load_env_files("pipe.yml", "x" * 300, {})
