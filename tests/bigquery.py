"""BigQuery and Cloud Storage for tests: two emulators, each in a separate process.

Tests use the fixtures that ``conftest.py`` loads: ``google`` (both servers, for the session of a worker) and
``warehouse`` (a dataset and a bucket for one test). The docstring of the BigQuery emulator lists its limits.
"""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from uuid import uuid4

import pytest
from emulator.serve import PROJECT, Google, NoEmulatorError, emulators
from servers import server_or_skip

_ROWS_AT_ONCE = 10_000


class Warehouse:
    """A dataset and a bucket for one test; ``google``: the emulators, None for Google itself."""

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
        """Keys of ``destination.config`` for this warehouse, without the bucket."""
        return {"project_id": self.project, "dataset_id": self.dataset, "emulator": self._emulator}

    def tables(self) -> list[str]:
        """The names of all tables."""
        return sorted(table.table_id for table in self.client.list_tables(self.dataset))

    def table(self, name: str) -> Any:
        """The properties of a table, from BigQuery."""
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
        """The rows of a query."""
        return [dict(row.items()) for row in self.client.query(query).result(page_size=_ROWS_AT_ONCE)]

    def objects(self) -> list[str]:
        """Names of the objects in the bucket."""
        return sorted(blob.name for blob in self.storage.list_blobs(self.bucket))

    def close(self) -> None:
        """Remove both."""
        self.client.delete_dataset(self.dataset, delete_contents=True, not_found_ok=True)
        if self._emulator is None:  # the objects of an emulator disappear with it
            self.storage.get_bucket(self.bucket).delete(force=True)
        self.client.close()
        self.storage.close()


def _text(data: Any) -> str:
    """The text of a JSON column, whose value may be decoded already."""
    return data if isinstance(data, str) else json.dumps(data)


@pytest.fixture(scope="session")
def google(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Google]:
    """Both emulators, started by this worker."""
    with ExitStack() as servers:
        try:
            found = servers.enter_context(emulators(tmp_path_factory.mktemp("google")))
        except NoEmulatorError as error:
            server_or_skip("BigQuery", str(error))
        yield found


@pytest.fixture
def warehouse(google: Google) -> Iterator[Warehouse]:
    """An empty dataset and an empty bucket."""
    made = Warehouse(google)
    yield made
    made.close()
