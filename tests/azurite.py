"""Azure Blob Storage on this machine: Azurite, with one account."""

import base64
import hashlib
import hmac
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, urlencode

import requests
from ports import free_port
from servers import of_node, served

ACCOUNT = "account"
SECRET = b"a-secret-account-key-of-azure/+="
KEY = base64.b64encode(SECRET).decode()
_ALL = {"sv": "2021-12-02", "ss": "b", "srt": "sco", "sp": "rwdlac", "se": "2099-01-01T00:00:00Z"}
_SIGNED = ("sp", "ss", "srt", "st", "se", "sip", "spr", "sv", "ses")  # in this order
_TIMEOUT = 20  # seconds


def shared_access_signature() -> str:
    """A signature that allows everything in the account:
    https://learn.microsoft.com/rest/api/storageservices/create-account-sas
    """
    text = "".join(f"{each}\n" for each in (ACCOUNT, *(_ALL.get(name, "") for name in _SIGNED)))
    digest = hmac.new(SECRET, text.encode(), hashlib.sha256).digest()
    return urlencode({**_ALL, "sig": base64.b64encode(digest).decode()})


class Container:
    """A container of an Azurite, which is made here."""

    def __init__(self, url: str, name: str) -> None:
        self._url = f"{url}/{name}"
        self._ask(self._url, {"restype": "container"})

    def put(self, key: str, data: bytes) -> None:
        self._ask(f"{self._url}/{quote(key)}", {}, data)

    def _ask(self, url: str, params: dict[str, str], data: bytes = b"") -> None:
        headers = {"x-ms-blob-type": "BlockBlob"}
        address = f"{url}?{urlencode(params)}&{shared_access_signature()}"
        requests.put(address, data=data, headers=headers, timeout=_TIMEOUT).raise_for_status()


@contextmanager
def azurite(folder: Path) -> Iterator[str]:
    """Within: a blob service in memory; the URL of its account."""
    url = f"http://127.0.0.1:{free_port()}"
    arguments = ["--inMemoryPersistence", "--disableTelemetry", "--silent", "--blobPort", url.rpartition(":")[2]]
    env = {"AZURITE_ACCOUNTS": f"{ACCOUNT}:{KEY}"}
    with served(of_node("azurite-blob"), arguments, url, folder / "log", env):
        yield f"{url}/{ACCOUNT}"
