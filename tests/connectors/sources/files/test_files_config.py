"""Mistakes in the ``source`` block are found before anything is read, and secrets are not shown."""

from typing import Any

import pytest

from bizon.common.errors.errors import ConfigError
from bizon.connectors.sources.files.src.config import FilesSourceConfig
from bizon.connectors.sources.files.src.store_options import store_options
from bizon.engine.engine import load_config_dict


def loaded(**keys: Any) -> FilesSourceConfig:
    block = {"name": "files", "stream": "any name at all", "path": "a.csv", **keys}
    config = load_config_dict({"name": "p", "source": block, "destination": {"name": "logger"}}).config.source
    assert isinstance(config, FilesSourceConfig)
    return config


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({"path": []}, "must not be an empty list"),
        ({"path": ""}, "path"),
        ({"path": "ftp://a/b"}, "'ftp://' is not known"),
        ({"path": ["a.csv", "s3://b/c"]}, "all paths must be in one kind of place"),
        ({"path": "s3://"}, "SCHEME://BUCKET/KEY"),
        ({"id": []}, "must not be an empty list"),
        ({"format": "excel"}, "source.format"),
        ({"encoding": "utf-99"}, "is not the name of an encoding"),
        ({"encoding": "base64"}, "is not the name of an encoding"),
        ({"delimiter": "\n"}, "no line break"),
        ({"delimiter": "::"}, "source.delimiter"),
        ({"delimiter": "§"}, "one ASCII character"),
        ({"delimiter": "'", "quote": "'"}, "quote and delimiter must differ"),
        ({"columns": ["a", "a"]}, "a name of its own"),
        ({"columns": ["a"], "format": "json"}, "columns are for format csv, not json"),
        ({"piece_size": 0}, "source.piece_size"),
        ({"storage": {"access_key_id": "x"}}, "belong together"),
        ({"storage": {"bucket": "x"}}, "unknown key"),
        ({"storage": {"sas_token": "a-key-and-no-signature=="}}, "must be a shared access signature"),
        ({"storage": {"sas_token": "?sv=2022-11-02&sp=rl&sig="}}, "must be a shared access signature"),
        (
            {"authentication": {"type": "api_key", "params": {"token": "x"}}},
            "the credentials of an object store are keys of `storage`",
        ),
    ],
)
def test_a_mistake_is_explained(keys: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match="source") as found:
        loaded(**keys)
    assert reason in str(found.value)


def test_one_path_is_a_list_of_one() -> None:
    assert loaded().paths == ("a.csv",)
    assert loaded(path=["a", "b"]).paths == ("a", "b")
    assert loaded(id="x").id_fields == ("x",)
    assert loaded().id_fields == ()


@pytest.mark.parametrize(
    ("scheme", "keys", "options"),
    [
        ("s3", {"region": "r", "anonymous": True}, {"aws_region": "r", "aws_skip_signature": "true"}),
        (
            "s3",
            {"access_key_id": "the-id", "secret_access_key": "the-secret", "session_token": "the-token"},
            {"aws_access_key_id": "the-id", "aws_secret_access_key": "the-secret", "aws_session_token": "the-token"},
        ),
        ("gs", {"service_account_key": "{the-key}"}, {"google_service_account_key": "{the-key}"}),
        (
            "az",
            {"account_name": "n", "account_key": "the-key", "sas_token": "sig=the-sas", "endpoint": "https://h"},
            {
                "azure_storage_account_name": "n",
                "azure_storage_account_key": "the-key",
                "azure_storage_sas_token": "sig=the-sas",
                "azure_endpoint": "https://h",
            },
        ),
    ],
)
def test_keys_of_a_store(scheme: str, keys: dict[str, Any], options: dict[str, str]) -> None:
    config = loaded(path=f"{scheme}://bucket/key", storage=keys)
    found = store_options(scheme, config.storage)
    assert found == options
    assert {type(value) for value in found.values()} == {str}, "the libraries get plain texts"
    assert not any(f"the-{name}" in repr(config) for name in ("id", "secret", "token", "key", "sas"))
