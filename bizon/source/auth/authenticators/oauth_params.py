"""The keys of ``authentication.params`` for ``oauth``."""

from datetime import date, datetime
from typing import Any

from pydantic import ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from bizon.common.clock import as_utc
from bizon.common.secret import SecretText
from bizon.config.strict import MOST_SECONDS, StrictModel


class Oauth2AuthParams(StrictModel):
    """Keys of ``authentication.params`` for ``oauth``."""

    model_config = ConfigDict(coerce_numbers_to_str=True)

    token_refresh_endpoint: str = Field(pattern=r"^https?://", description="URL that answers with an access token.")
    client_id: str = Field(description="Id of the OAuth client.")
    client_secret: SecretText = Field(description="Secret of the OAuth client.")
    refresh_token: SecretText | None = Field(
        default=None,
        description="Refresh token, for grant type refresh_token. If the endpoint replaces it, the state keeps the new "
        "one, encrypted, until this key changes.",
    )
    scopes: list[str] | None = Field(default=None, description="Scopes to request; sent joined by commas.")
    token_expiry_date_format: str | None = Field(
        default=None,
        description="strptime format of token_expiry_date, and of the expiry in the answer when that is a date. "
        "null = ISO 8601.",
    )
    token_expiry_date: str | None = Field(
        default=None,
        description="Expiry of an access token when the answer gives none; UTC unless it has a zone.",
    )
    access_token_name: str = Field(default="access_token", description="Key of the access token in the answer.")
    expires_in_name: str = Field(default="expires_in", description="Key of the lifetime in seconds in the answer.")
    refresh_request_body: dict[str, SecretText] | None = Field(
        default=None, description="Further form fields to send, name: value; they do not replace the standard ones."
    )
    grant_type: str = Field(default="refresh_token", description="OAuth grant type.")
    response_field_path: str | None = Field(
        default=None, description="Path of the two keys in the answer, for example data/token or data.token."
    )
    expiry_skew_seconds: float | None = Field(
        default=None,
        ge=0,
        le=MOST_SECONDS,
        description="Seconds before expiry at which a token is renewed, at most half its lifetime. "
        "null = 10 % of the lifetime, at most 60.",
    )

    @field_validator("*", mode="before")
    @classmethod
    def _as_written(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse floats: YAML turns 1.10 into 1.1. A whole number keeps its text."""
        inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        if info.field_name != "expiry_skew_seconds" and any(isinstance(each, float) for each in (value, *inside)):
            raise PydanticCustomError("string_type", "expected a text")
        return value

    @field_validator("token_expiry_date", mode="before")
    @classmethod
    def _yaml_date(cls, value: Any) -> Any:
        return value.isoformat() if isinstance(value, date) else value  # an unquoted date in YAML is a date

    @field_validator("token_expiry_date")
    @classmethod
    def _is_a_date(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None:
            read_date(value, info.data.get("token_expiry_date_format"))
        return value


def read_date(text: str, layout: str | None) -> datetime:
    """A date in the configured format; UTC when it has no zone. Raises ValueError, TypeError."""
    if layout is None:
        return as_utc(datetime.fromisoformat(text))
    return as_utc(datetime.strptime(text, layout))  # noqa: DTZ007 - a zone is optional, as_utc adds it
