"""Servers of others with APIs that nobody here wrote: Datasette, Kinto, and moto's AWS. Each has a process."""

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import requests
from emulator.serve import NoEmulatorError, Server
from ports import free_port
from servers import server_or_skip

USER, PASSWORD = "reader", "a-password-of-kinto"
KINTO = """
[app:main]
use = egg:kinto
kinto.storage_backend = kinto.core.storage.memory
kinto.permission_backend = kinto.core.permission.memory
kinto.cache_backend = kinto.core.cache.memory
kinto.includes = kinto.plugins.accounts
kinto.userid_hmac_secret = of-a-test
kinto.account_create_principals = system.Everyone
kinto.bucket_create_principals = system.Authenticated
multiauth.policies = account
multiauth.policy.account.use = kinto.plugins.accounts.authentication.AccountsAuthenticationPolicy

[server:main]
use = egg:waitress#main
host = 127.0.0.1
port = %(http_port)s
"""
_TIMEOUT = 20  # seconds


@contextmanager
def served(name: str, command: list[str], url: str, folder: Path) -> Iterator[str]:
    """Within: a program next to this Python answers at ``url``."""
    program = Path(sys.executable).with_name(command[0])
    server = Server([str(program), *command[1:]], url, folder / f"{name}.log")
    try:
        server.start()
    except (NoEmulatorError, FileNotFoundError) as error:
        server_or_skip(name, str(error))
    try:
        yield url
    finally:
        server.stop()


class Table:
    """A table of a SQLite file that Datasette serves."""

    def __init__(self, file: Path, url: str) -> None:
        self._file = file
        self.url = f"{url}/{file.stem}"

    def run(self, statement: str, *values: Any) -> list[dict[str, Any]]:
        """The rows that a statement returns."""
        with closing(sqlite3.connect(self._file, isolation_level=None)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(statement, values)]


@contextmanager
def datasette(folder: Path) -> Iterator[Table]:
    """Within: an empty table ``items``; an answer has at most 1,000 rows."""
    file = folder / "shop.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT, price REAL, updated_at TEXT)")
    url = f"http://127.0.0.1:{free_port()}"
    settings = ["--setting", "sql_time_limit_ms", "60000"]
    command = ["datasette", "serve", str(file), "-p", url.rpartition(":")[2], *settings]
    with served("Datasette", command, url, folder):
        yield Table(file, url)


class Collection:
    """A collection of Kinto."""

    def __init__(self, url: str) -> None:
        self.url = f"{url}/buckets/shop/collections/items"
        self._session = requests.Session()
        self._ask("PUT", f"{url}/accounts/{USER}", {"password": PASSWORD})
        self._session.auth = (USER, PASSWORD)
        self._ask("PUT", f"{url}/buckets/shop", {})
        self._ask("PUT", self.url, {})

    def put(self, id_: str, **data: Any) -> None:
        self._ask("PUT", f"{self.url}/records/{id_}", data)

    def delete(self, id_: str) -> None:
        self._ask("DELETE", f"{self.url}/records/{id_}", None)

    def close(self) -> None:
        self._session.close()

    def _ask(self, method: str, url: str, data: Any) -> None:
        body = None if data is None else {"data": data}
        self._session.request(method, url, json=body, timeout=_TIMEOUT).raise_for_status()


@contextmanager
def kinto(folder: Path) -> Iterator[Collection]:
    """Within: an empty collection, for one account."""
    (folder / "kinto.ini").write_text(KINTO)
    port = free_port()
    command = ["kinto", "start", "--ini", str(folder / "kinto.ini"), "--port", str(port)]
    with (
        served("Kinto", command, f"http://127.0.0.1:{port}/v1", folder) as url,
        closing(Collection(url)) as collection,
    ):
        yield collection


class Parameters:
    """The parameters of AWS Systems Manager, as moto keeps them."""

    def __init__(self, url: str) -> None:
        import boto3  # comes with moto

        self.url = url
        self._client = boto3.Session("any", "any", region_name="us-east-1").client("ssm", endpoint_url=url)

    def put(self, name: str, value: str) -> None:
        self._client.put_parameter(Name=name, Value=value, Type="String", Overwrite=True)

    def close(self) -> None:
        self._client.close()


@contextmanager
def systems_manager(folder: Path) -> Iterator[Parameters]:
    """Within: an AWS without parameters."""
    url = f"http://127.0.0.1:{free_port()}"
    with (
        served("moto", ["moto_server", "-H", "127.0.0.1", "-p", url.rpartition(":")[2]], url, folder),
        closing(Parameters(url)) as parameters,
    ):
        yield parameters


SIGNER = """
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from requests.auth import AuthBase


class Signer(AuthBase):
    def __init__(self, key_id, key):
        self._auth = SigV4Auth(Credentials(key_id, key), "ssm", "us-east-1")

    def __call__(self, r):
        names = ("Content-Type", "X-Amz-Target")
        asked = AWSRequest(r.method, r.url, {name: r.headers[name] for name in names}, r.body)
        self._auth.add_auth(asked)
        r.headers.update(asked.headers)
        return r
"""
"""The file of the key ``signing``: what AWS asks for."""
