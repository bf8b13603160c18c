"""Configuration of the ``dummy`` source."""

from enum import StrEnum
from typing import Literal

from pydantic import Field

from bizon.config.strict import MOST_SECONDS
from bizon.source.auth.authenticators.oauth import Oauth2AuthParams
from bizon.source.auth.authenticators.token import TokenAuthParams
from bizon.source.auth.config import AuthConfig, AuthType
from bizon.source.config import SourceConfig


class DummyStreams(StrEnum):
    """Streams of the source."""

    CREATURES = "creatures"
    PLANTS = "plants"


class DummyAuthConfig(AuthConfig):
    """Any token works: it is never sent anywhere."""

    type: Literal[AuthType.API_KEY, AuthType.OAUTH] = Field(description="api_key | oauth.")
    params: TokenAuthParams | Oauth2AuthParams = Field(description="Credentials; never used for a request.")


class DummySourceConfig(SourceConfig):
    """``source: {name: dummy}``: five made-up records per stream, in three pages."""

    authentication: DummyAuthConfig = Field(description="How to authenticate: api_key or oauth.")
    sleep: float = Field(
        default=0, ge=0, le=MOST_SECONDS, description="Seconds to wait before each page, to simulate a slow API."
    )
