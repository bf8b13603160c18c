"""``authentication`` of the source ``rest``: as everywhere, and a token may also be sent outside of the headers."""

from typing import Literal, Self

from pydantic import Field, model_validator

from bizon.common.secret import SecretText
from bizon.config.strict import StrictModel, stated
from bizon.source.auth.authenticators.token import TokenAuthParams
from bizon.source.auth.config import AuthConfig, AuthParams


class PlacedTokenParams(TokenAuthParams):
    """Keys of ``authentication.params`` for ``api_key`` and ``bearer``."""

    placement: Literal["header", "params", "cookie", "path"] = Field(
        default="header",
        alias="in",
        description="Where the token goes: header = `auth_header` | params = query string | cookie | path = `{token}` "
        "in `base_url` or `path`.",
    )
    name: str | None = Field(
        default=None,
        min_length=1,
        description="Name of the query parameter or of the cookie, for `in: params | cookie`.",
    )

    @model_validator(mode="after")
    def _has_a_name_where_one_is_needed(self) -> Self:
        if (self.placement in ("params", "cookie")) != (self.name is not None):
            raise stated("`name` belongs to `in: params` and `in: cookie`, and to them alone")
        return self


class SigningConfig(StrictModel):
    """A class that signs requests, for an API that wants it: the one place where `rest` runs code of yours."""

    file: str = Field(
        min_length=1,
        description="Path of a Python file with a class that extends `requests.auth.AuthBase`. The session calls it "
        "once per request; with `sign_again` and `renew`, also before each retry.",
    )
    params: dict[str, SecretText] = Field(default={}, description="Arguments of the class, by name.")


class RestAuthConfig(AuthConfig):
    """Credentials of the API."""

    params: PlacedTokenParams | AuthParams = Field(description="Credentials; the allowed keys depend on `type`.")

    @property
    def place(self) -> tuple[str, str, str]:
        """Where a token goes that is not in a header: ``params``, ``cookie`` or ``path``; its name there; the token.
        ``("header", "", "")`` for all other credentials."""
        params = self.params
        if not isinstance(params, PlacedTokenParams) or params.placement == "header":
            return "header", "", ""
        return params.placement, params.name or "", params.token
