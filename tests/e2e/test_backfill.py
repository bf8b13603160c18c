"""A window of the past with each built-in source that has one, through the real command: its rows come again, once, a
failure in its middle is resumed, and the next run begins where it would have begun without it."""

import json
import os
import sqlite3
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from standins.rest.server import Asked, Reply, RestStandIn, by_page, changed_within

if TYPE_CHECKING:
    from conftest import Pipeline

MONTHS = {number: f"2024-{number:02}-05T10:00:00Z" for number in range(1, 10)}
SPRING = ("--since", "2024-03-01", "--until", "2024-06-01")
AGAIN = [3, 4, 5]
RECORDS = [{"id": number, "updated_at": moment} for number, moment in MONTHS.items()]


class Api:
    """The records of an API; it fails after some answers."""

    def __init__(self, server: RestStandIn) -> None:
        self._server = server
        server.routes["/items"] = lambda asked: by_page(changed_within(RECORDS, asked), asked)

    def source(self) -> dict[str, Any]:
        limits = {
            "cursor_field": "updated_at",
            "since": {"param": "since"},
            "until": {"param": "until"},
            "window": "31d",
            "lookback": "40d",  # of runs that continue, not of a window of the past
        }
        items = {
            "path": "/items",
            "records": "items",
            "pages": {"type": "page", "param": "page"},
            "incremental": limits,
        }
        keys = {"base_url": self._server.url, "http": {"retries": {"total": 0}}, "endpoints": {"items": items}}
        return {"name": "rest", "stream": "items", **keys}

    def fail(self) -> None:
        self._server.before = lambda asked: Reply({}, 500) if self._is_late(asked) else None

    def heal(self) -> None:
        self._server.before = lambda asked: None

    def _is_late(self, asked: Asked) -> bool:
        return (asked.params.get("since") or "") > "2024-04"


class Files:
    """A file for each record, changed when the record was."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "in"
        self._folder.mkdir()
        for record in RECORDS:
            self._write(record["id"], json.dumps(record))

    def source(self) -> dict[str, Any]:
        return {"name": "files", "stream": "items", "path": f"{self._folder}/*.jsonl", "id": "id"}

    def fail(self) -> None:
        self._write(4, "not JSON")

    def heal(self) -> None:
        self._write(4, json.dumps(RECORDS[3]))

    def _write(self, number: int, text: str) -> None:
        path = self._folder / f"{number}.jsonl"
        path.write_text(f"{text}\n")
        moment = datetime.fromisoformat(MONTHS[number]).timestamp()
        os.utime(path, (moment, moment))


class Table:
    """A table of a database, which goes away."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "items.db"
        with sqlite3.connect(self._file) as connection:
            connection.execute("CREATE TABLE items (id INTEGER PRIMARY KEY, updated_at TIMESTAMP)")
            rows = [(number, moment.replace("T", " ").removesuffix("Z")) for number, moment in MONTHS.items()]
            connection.executemany("INSERT INTO items VALUES (?, ?)", rows)
        connection.close()

    def source(self) -> dict[str, Any]:
        url = f"sqlite:///{self._file}"
        return {"name": "sql", "stream": "items", "url": url, "cursor_field": "updated_at", "page_size": 1}

    def fail(self) -> None:
        self._file.rename(self._file.with_suffix(".away"))

    def heal(self) -> None:
        self._file.with_suffix(".away").rename(self._file)


@pytest.fixture
def api() -> Iterator[RestStandIn]:
    with RestStandIn().running() as server:
        yield server


@pytest.mark.matrix(share=6)
@pytest.mark.parametrize("kind", ["rest", "sql", "files"])
def test_a_window_comes_again_once_and_the_next_run_begins_where_it_would_have(
    pipeline: "Pipeline", api: RestStandIn, kind: str
) -> None:
    origin = {"rest": lambda: Api(api), "sql": lambda: Table(pipeline.folder), "files": lambda: Files(pipeline.folder)}[
        kind
    ]()
    pipeline.source(source_file_path=None, sync_mode="incremental", **origin.source()).destination(buffer_size=0)
    pipeline.run()
    assert sorted(found(pipeline)) == [*MONTHS]
    watermark = json.loads(pipeline.bizon("status", "config.yml", "--json").stdout)["created_at"]

    origin.fail()
    pipeline.run(*SPRING, expect=1)
    assert sorted(found(pipeline)) == [*MONTHS]
    origin.heal()
    resumed = pipeline.run(*SPRING)
    assert ("Resuming job" in resumed.stderr) == (kind == "rest")  # the others fail before anything is committed
    assert Counter(found(pipeline)) == Counter([*MONTHS, *AGAIN])

    last = pipeline.run()
    assert watermark[:19].replace(" ", "T") in last.stderr or "0 records" in last.stdout
    assert Counter(found(pipeline)) == Counter([*MONTHS, *AGAIN])


def found(pipeline: "Pipeline") -> list[int]:
    """The ids of the rows in the output."""
    return [int(line["source_record_id"]) for line in pipeline.lines()]
