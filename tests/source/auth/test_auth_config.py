"""The ``authentication`` block: type decides the params."""

from datetime import date
from typing import Literal

import pytest
from pydantic import BaseModel, Field, ValidationError

from bizon.common.errors.errors import ConfigError
from bizon.common.secret import iter_secrets
from bizon.config.document import document_from_dict
from bizon.config.loading import build_config
from bizon.source.auth.authenticators.basic import BasicHttpAuthParams
from bizon.source.auth.authenticators.cookies import CookiesAuthParams
from bizon.source.auth.authenticators.oauth import Oauth2AuthParams
from bizon.source.auth.authenticators.token import TokenAuthParams
from bizon.source.auth.config import AuthConfig, AuthType
from bizon.source.config import SourceConfig

OAUTH = {
    "token_refresh_endpoint": "https://auth.example/token",
    "client_id": "id",
    "client_secret": "s3cr3t-1",
    "refresh_token": "s3cr3t-2",
    "refresh_request_body": {"password": "s3cr3t-3"},
}
BASIC = {"username": "me", "password": "s3cr3t-1"}
TOKEN = {"token": "s3cr3t-1"}
COOKIES = {"cookies": {"sid": "s3cr3t-1"}, "headers": {"X-CSRF": "s3cr3t-2"}}


def validate(type_: str, params: object) -> AuthConfig:
    return AuthConfig.model_validate({"type": type_, "params": params})


@pytest.mark.parametrize(
    ("type_", "params", "expected"),
    [
        ("oauth", OAUTH, Oauth2AuthParams),
        ("api_key", TOKEN, TokenAuthParams),
        ("bearer", TOKEN, TokenAuthParams),
        ("basic", BASIC, BasicHttpAuthParams),
        ("cookies", COOKIES, CookiesAuthParams),
    ],
)
def test_each_type_has_its_params(type_, params, expected):
    assert type(validate(type_, params).params) is expected


def test_token_params_do_not_fit_oauth():
    with pytest.raises(ValidationError) as caught:
        validate("oauth", TOKEN)
    problems = {(error["loc"], error["type"]) for error in caught.value.errors()}
    assert (("params", "client_id"), "missing") in problems
    assert (("params", "token"), "unknown_key") in problems


@pytest.mark.parametrize(
    ("type_", "params", "loc"),
    [
        ("api_key", {}, ("params", "token")),
        ("basic", {"username": "me", "pasword": "x"}, ("params", "pasword")),
        ("cookies", {"cookies": {"sid": 1}}, ("params", "cookies", "sid")),
        ("oauth", {**OAUTH, "token_refresh_endpoint": "auth.example"}, ("params", "token_refresh_endpoint")),
        ("oauth", {**OAUTH, "token_expiry_date": "tomorrow"}, ("params", "token_expiry_date")),
        ("oauth", {**OAUTH, "expiry_skew_seconds": -1}, ("params", "expiry_skew_seconds")),
        ("api_key", None, ("params",)),
        ("kerberos", TOKEN, ("type",)),
    ],
)
def test_an_error_names_its_key(type_, params, loc):
    with pytest.raises(ValidationError) as caught:
        validate(type_, params)
    assert [error["loc"] for error in caught.value.errors()] == [loc]


@pytest.mark.parametrize("value", ["2030-01-02", "2030-01-02T03:04:05+00:00"])
def test_a_date_may_be_given_as_text(value):
    assert validate("oauth", {**OAUTH, "token_expiry_date": value}).params.token_expiry_date == value


def test_an_unquoted_yaml_date_is_accepted():
    config = validate("oauth", {**OAUTH, "token_expiry_date": date(2030, 1, 2)})
    assert config.params.token_expiry_date == "2030-01-02"


def test_an_expiry_date_is_checked_against_its_format():
    form = {"token_expiry_date_format": "%d/%m/%Y"}
    assert validate("oauth", {**OAUTH, **form, "token_expiry_date": "31/12/2030"})
    with pytest.raises(ValidationError):
        validate("oauth", {**OAUTH, **form, "token_expiry_date": "2030-12-31"})


def test_numbers_in_a_form_body_become_text():
    params = validate("oauth", {**OAUTH, "refresh_request_body": {"tenant": 7}, "client_id": 12}).params
    assert (params.refresh_request_body, params.client_id) == ({"tenant": "7"}, "12")


class NarrowAuthConfig(AuthConfig):
    type: Literal[AuthType.API_KEY, AuthType.OAUTH] = Field(description="api_key | oauth.")


@pytest.mark.parametrize(("type_", "params"), [("api_key", TOKEN), ("oauth", OAUTH)])
def test_a_connector_may_narrow_the_type(type_, params):
    assert NarrowAuthConfig.model_validate({"type": type_, "params": params}).type == AuthType(type_)


def test_a_type_outside_the_narrowed_ones_is_an_error_of_the_type():
    with pytest.raises(ValidationError) as caught:
        NarrowAuthConfig.model_validate({"type": "basic", "params": BASIC})
    assert [error["loc"] for error in caught.value.errors()] == [("type",)]


@pytest.mark.lesson("F-27")
@pytest.mark.parametrize(
    ("type_", "params"), [("oauth", OAUTH), ("api_key", TOKEN), ("basic", BASIC), ("cookies", COOKIES)]
)
def test_a_printed_or_dumped_config_masks_its_secrets(type_, params):
    """Printing a config showed token and password."""
    config = validate(type_, params)
    assert "s3cr3t" not in f"{config!r} {config} {config.model_dump_json()}"
    assert all(secret.startswith("s3cr3t") for secret in iter_secrets(config))
    assert len(list(iter_secrets(config))) == str(params).count("s3cr3t")


@pytest.mark.lesson("F-27")
@pytest.mark.parametrize(
    ("type_", "params"), [("oauth", OAUTH), ("api_key", TOKEN), ("basic", BASIC), ("cookies", COOKIES)]
)
def test_a_validation_error_does_not_show_the_input(type_, params):
    """An error in one key printed the others, passwords included."""
    with pytest.raises(ValidationError) as caught:
        validate(type_, {**params, "colour": "red"})
    assert "s3cr3t" not in str(caught.value)


class PartnerParams(TokenAuthParams):
    partner: str = Field(description="Key of the connector's own.")


class PartnerAuth(AuthConfig):
    params: PartnerParams | BasicHttpAuthParams


class StrangeParams(BaseModel):
    certificate: str


class StrangeAuth(AuthConfig):
    params: StrangeParams


@pytest.mark.parametrize("type_", ["api_key", "bearer"])
def test_params_of_a_connectors_own_class_keep_their_keys(type_: str) -> None:
    """They used to be validated by the class of the type, which refused the key as unknown."""
    config = PartnerAuth.model_validate({"type": type_, "params": {**TOKEN, "partner": "p"}})
    assert type(config.params) is PartnerParams
    assert config.params.partner == "p"
    assert list(iter_secrets(config)) == ["s3cr3t-1"]


def test_the_other_types_of_it_keep_theirs() -> None:
    assert type(PartnerAuth.model_validate({"type": "basic", "params": BASIC}).params) is BasicHttpAuthParams


def test_params_that_are_of_no_known_kind_are_the_connectors() -> None:
    assert StrangeAuth.model_validate({"type": "api_key", "params": {"certificate": "c"}}).params == StrangeParams(
        certificate="c"
    )


def test_a_mistake_in_them_names_their_keys() -> None:
    class Config(SourceConfig):
        authentication: PartnerAuth

    block = {"name": "n", "stream": "s", "authentication": {"type": "bearer", "params": {**TOKEN, "partnr": "p"}}}
    with pytest.raises(ConfigError, match=r"params\.partnr: unknown key; allowed: .*did you mean 'partner'\?"):
        build_config(
            document_from_dict({"name": "p", "source": block, "destination": {"name": "logger"}}),
            environ={},
            overrides={},
            resolve_source=lambda _: Config,
        )


@pytest.mark.parametrize("field", ["client_id", "client_secret", "refresh_token", "grant_type"])
def test_a_fraction_is_not_the_text_it_was(field: str) -> None:
    """YAML turns 1.10 into 1.1, which used to be sent."""
    with pytest.raises(ValidationError, match="expected a text"):
        validate("oauth", {**OAUTH, field: 1.1})
    params = validate("oauth", {**OAUTH, field: 12345}).params
    assert getattr(params, field) == "12345"


def test_a_fraction_in_a_list_or_a_mapping_is_not_text_either() -> None:
    for keys in ({"scopes": ["a", 1.1]}, {"refresh_request_body": {"version": 1.1}}):
        with pytest.raises(ValidationError, match="expected a text"):
            validate("oauth", {**OAUTH, **keys})
    assert validate("oauth", {**OAUTH, "expiry_skew_seconds": 1.5})
