"""Google credentials: an inline key of a service account, or the credentials of the machine. Nothing is written to
disk, and no environment variable is set."""

import json

from google.auth import default as machine_credentials
from google.auth.credentials import AnonymousCredentials, Credentials
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError
from google.oauth2.service_account import Credentials as ServiceAccount

_SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)


class CredentialsError(ValueError):
    """There are no usable credentials. The text says what to do, and shows no part of a key."""


def google_credentials(service_account_key: str, *, anonymous: bool) -> Credentials:
    """Credentials from ``service_account_key``, the JSON of a key; from the machine when it is empty. ``anonymous``:
    none, for an emulator. Raises CredentialsError."""
    if anonymous:
        return AnonymousCredentials()
    if service_account_key:
        return _service_account(service_account_key)
    try:
        found: tuple[Credentials, str | None] = machine_credentials(scopes=_SCOPES)
    except DefaultCredentialsError:
        raise CredentialsError(
            "this machine has no Google credentials: set service_account_key, or GOOGLE_APPLICATION_CREDENTIALS, or "
            "run `gcloud auth application-default login`"
        ) from None
    return found[0]


def _service_account(key: str) -> Credentials:
    try:
        made: Credentials = ServiceAccount.from_service_account_info(json.loads(key), scopes=_SCOPES)
    except (ValueError, TypeError, AttributeError, GoogleAuthError):  # their texts may hold parts of the key
        raise CredentialsError("service_account_key is not the JSON of a service account's key") from None
    return made
