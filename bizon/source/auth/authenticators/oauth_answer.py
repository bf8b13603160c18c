"""Answers of a token endpoint: finds the token and its lifetime."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from bizon.common.errors.errors import SourceConnectionError
from bizon.source.auth.authenticators.oauth_params import Oauth2AuthParams, read_date

_NEVER = datetime.max.replace(tzinfo=UTC)
_SKEW_SHARE, _SKEW_MAX = 0.1, 60.0  # of the lifetime; seconds


def fields_of(answer: Any, path: str, place: str) -> dict[str, Any]:
    """The object that holds the token. ``path``: the configured path to it. Raises SourceConnectionError."""
    for step in filter(None, re.split(r"[/.]", path)):
        if isinstance(answer, list) and step.isdecimal() and int(step) < len(answer):
            answer = answer[int(step)]
        elif isinstance(answer, dict) and step in answer:
            answer = answer[step]
        else:
            raise SourceConnectionError(
                f"{place}: response_field_path '{path}' is not in the answer: nothing at '{step}'"
            )
    if not isinstance(answer, dict):
        raise SourceConnectionError(f"{place}: the answer is not an object{f' at {path!r}' if path else ''}")
    return answer


def replacement_time(params: Oauth2AuthParams, fields: dict[str, Any], asked_at: datetime, place: str) -> datetime:
    """When to renew a token that was requested at ``asked_at``. Raises SourceConnectionError."""
    name = params.expires_in_name
    value = params.token_expiry_date if fields.get(name) is None else fields[name]
    if value is None:  # the lifetime is optional in an answer; without one, the token serves the whole run
        return _NEVER
    try:
        lifetime = _lifetime(value, asked_at, params.token_expiry_date_format)
        skew = params.expiry_skew_seconds
        if skew is None:
            skew = min(lifetime * _SKEW_SHARE, _SKEW_MAX)
        return asked_at + timedelta(seconds=lifetime - min(skew, lifetime / 2))
    except (TypeError, ValueError, OverflowError):
        raise SourceConnectionError(
            f"{place}: '{name}' is neither a number of seconds nor a date; set token_expiry_date_format"
        ) from None


def _lifetime(value: Any, asked_at: datetime, layout: str | None) -> float:
    try:
        return max(float(value), 0.0)
    except (TypeError, ValueError):
        expires_at = read_date(value, layout)
        return max((expires_at - asked_at).total_seconds(), 0.0)
