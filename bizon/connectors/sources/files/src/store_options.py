"""The configuration of an object store in the names that obstore and Polars share."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bizon.connectors.sources.files.src.config import StorageConfig

_S3 = {
    "endpoint": "aws_endpoint",
    "region": "aws_region",
    "access_key_id": "aws_access_key_id",
    "secret_access_key": "aws_secret_access_key",
    "session_token": "aws_session_token",
    "anonymous": "aws_skip_signature",
}
_GCS = {
    "endpoint": "google_base_url",
    "service_account_key": "google_service_account_key",
    "anonymous": "google_skip_signature",
}
_AZURE = {
    "endpoint": "azure_endpoint",
    "account_name": "azure_storage_account_name",
    "account_key": "azure_storage_account_key",
    "sas_token": "azure_storage_sas_token",
    "anonymous": "azure_skip_signature",
}
_NAMES = {"s3": _S3, "gs": _GCS, "az": _AZURE}


def store_options(scheme: str, storage: "StorageConfig") -> dict[str, str]:
    """The settings of a store that are configured; the environment provides the others."""
    found = {name: _text(getattr(storage, key)) for key, name in _NAMES[scheme].items()}
    return {name: value for name, value in found.items() if value}


def allows_http(storage: "StorageConfig") -> bool:
    """Whether the configured address is without TLS, such as an emulator's."""
    return (storage.endpoint or "").startswith("http://")


def _text(value: Any) -> str:
    """A setting as a plain text; empty when it is not set."""
    return "true" if value is True else str.__str__(value) if value else ""
