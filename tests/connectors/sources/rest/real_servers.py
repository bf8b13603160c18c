"""Servers of others with APIs that nobody here wrote: Datasette, Kinto, json-server, and moto's AWS. Each has a
process."""

import json
import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import requests
from e2e.conftest import Pipeline
from ports import free_port
from servers import beside_python, of_node, served

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

[loggers]
keys = root, requests

[handlers]
keys = console

[formatters]
keys = json

[logger_root]
level = WARNING
handlers = console

[logger_requests]
level = INFO
handlers = console
qualname = request.summary
propagate = 0

[handler_console]
class = StreamHandler
args = (sys.stderr,)
formatter = json

[formatter_json]
class = kinto.core.JsonLogFormatter
"""
_TIMEOUT = 20  # seconds


def reading(pipeline: Pipeline, base_url: str, endpoint: Mapping[str, Any], **keys: Any) -> Pipeline:
    """The pipeline, which reads one endpoint."""
    pipeline.config["source"] = {
        **{"name": "rest", "stream": "items", "base_url": base_url, "sync_mode": "incremental"},
        **{"endpoints": {"items": endpoint}, **keys},
    }
    return pipeline


def records(pipeline: Pipeline) -> list[dict[str, Any]]:
    return [json.loads(line["source_data"]) for line in pipeline.lines()]


def run(pipeline: Pipeline) -> list[dict[str, Any]]:
    """The records that a run has appended."""
    before = len(records(pipeline)) if (pipeline.folder / "out.json").exists() else 0
    pipeline.run()
    return records(pipeline)[before:]


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
    arguments = ["serve", str(file), "-p", url.rpartition(":")[2], *settings]
    with served(beside_python("datasette"), arguments, url, folder / "datasette.log"):
        yield Table(file, url)


class Collection:
    """A collection of Kinto. ``log``: of the server, a JSON object for each request."""

    def __init__(self, url: str, log: Path) -> None:
        self.url = f"{url}/buckets/shop/collections/items"
        self._log = log
        self._session = requests.Session()
        self._ask("PUT", f"{url}/accounts/{USER}", {"password": PASSWORD})
        self._session.auth = (USER, PASSWORD)
        self._ask("PUT", f"{url}/buckets/shop", {})
        self._ask("PUT", self.url, {})

    def put(self, id_: str, **data: Any) -> None:
        self._ask("PUT", f"{self.url}/records/{id_}", data)

    def delete(self, id_: str) -> None:
        self._ask("DELETE", f"{self.url}/records/{id_}", None)

    def lists(self) -> list[dict[str, str]]:
        """The parameters of each request for the list, as the server has logged them."""
        lines = [line for line in self._log.read_text().splitlines() if '"request.summary"' in line]
        asked = [json.loads(line)["Fields"] for line in lines]
        return [each["querystring"] for each in asked if each["method"] == "GET" and each["path"].endswith("/records")]

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
    arguments = ["start", "--ini", str(folder / "kinto.ini"), "--port", str(port)]
    log = folder / "kinto.log"
    with (
        served(beside_python("kinto"), arguments, f"http://127.0.0.1:{port}/v1", log) as server,
        closing(Collection(server.url, log)) as collection,
    ):
        yield collection


class Database:
    """The list ``items`` of a json-server. ``asked``: the requests for it, as the server has logged them."""

    def __init__(self, url: str, log: Path) -> None:
        self.url = url
        self._log = log

    def change(self, id_: int, **fields: Any) -> None:
        requests.patch(f"{self.url}/items/{id_}", json=fields, timeout=_TIMEOUT).raise_for_status()

    def asked(self) -> list[str]:
        return re.findall(r"GET (/items\S*)", re.sub(r"\x1b\[[\d;]*m", "", self._log.read_text()))


@contextmanager
def json_server(folder: Path, items: list[dict[str, Any]]) -> Iterator[Database]:
    """Within: the items in a file, which json-server serves and changes."""
    file, log, port = folder / "db.json", folder / "json-server.log", free_port()
    file.write_text(json.dumps({"items": items}))
    arguments = ["--host", "127.0.0.1", "--port", str(port), "--snapshots", str(folder), str(file)]
    with served(of_node("json-server"), arguments, f"http://127.0.0.1:{port}", log) as server:
        yield Database(server.url, log)


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
    arguments = ["-H", "127.0.0.1", "-p", url.rpartition(":")[2]]
    with (
        served(beside_python("moto_server"), arguments, url, folder / "moto.log"),
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
