"""``authentication`` of the source ``rest``: as everywhere, and a token may also be sent outside of the headers."""

from typing import Literal, Self

from pydantic import Field, model_validator

from bizon.config.strict import stated
from bizon.source.auth.authenticators.basic import BasicHttpAuthParams
from bizon.source.auth.authenticators.cookies import CookiesAuthParams
from bizon.source.auth.authenticators.oauth_params import Oauth2AuthParams
from bizon.source.auth.authenticators.token import TokenAuthParams
from bizon.source.auth.config import AuthConfig


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


class RestAuthConfig(AuthConfig):
    """Credentials of the API."""

    params: PlacedTokenParams | Oauth2AuthParams | BasicHttpAuthParams | CookiesAuthParams = Field(
        description="Credentials; the allowed keys depend on `type`."
    )
