"""The ``authentication`` block: ``type`` decides which ``params`` are allowed."""

from enum import StrEnum
from inspect import isclass
from typing import Any, get_args

from pydantic import BaseModel, Field, ValidationInfo, ValidatorFunctionWrapHandler, field_validator

from bizon.config.strict import StrictModel
from bizon.source.auth.authenticators.basic import BasicHttpAuthParams
from bizon.source.auth.authenticators.cookies import CookiesAuthParams
from bizon.source.auth.authenticators.oauth import Oauth2AuthParams
from bizon.source.auth.authenticators.token import TokenAuthParams


class AuthType(StrEnum):
    """Ways to authenticate."""

    OAUTH = "oauth"
    API_KEY = "api_key"
    BEARER = "bearer"
    BASIC = "basic"
    COOKIES = "cookies"


AuthParams = Oauth2AuthParams | BasicHttpAuthParams | TokenAuthParams | CookiesAuthParams

PARAMS_BY_TYPE: dict[AuthType, type[BaseModel]] = {
    AuthType.OAUTH: Oauth2AuthParams,
    AuthType.API_KEY: TokenAuthParams,
    AuthType.BEARER: TokenAuthParams,
    AuthType.BASIC: BasicHttpAuthParams,
    AuthType.COOKIES: CookiesAuthParams,
}


class AuthConfig(StrictModel):
    """Authentication of a source. A connector narrows ``type`` in a subclass to what it supports."""

    type: AuthType = Field(description="oauth | api_key | bearer | basic | cookies.")
    params: AuthParams = Field(description="Credentials; the allowed keys depend on `type`.")

    @field_validator("params", mode="wrap")
    @classmethod
    def _params_fit_type(cls, value: Any, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> BaseModel:
        declared = info.data.get("type")
        if declared is None:  # `type` is wrong, and has its own error
            return TokenAuthParams(token="")
        return params_class(cls, AuthType(declared)).model_validate(value)


def params_class(config: type[AuthConfig], type: AuthType) -> type[BaseModel]:
    """The class of ``params`` for a type of authentication: the most derived class that a connector declares for it,
    else the one in ``PARAMS_BY_TYPE``."""
    usual = PARAMS_BY_TYPE[type]
    annotation = config.model_fields["params"].annotation
    declared = [each for each in (annotation, *get_args(annotation)) if isclass(each) and issubclass(each, BaseModel)]
    fitting = [each for each in declared if issubclass(each, usual)]
    others = [each for each in declared if not issubclass(each, tuple(PARAMS_BY_TYPE.values()))]
    return max(fitting or others, key=lambda each: len(each.__mro__), default=usual)
