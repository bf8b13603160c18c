"""A window of the past with each built-in source that has one, and with a source in Python, through the real command:
its rows come again, once, a failure or a kill in its middle is resumed, and the next run begins where it would have
begun without it."""

import json
import os
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from standins.rest.server import Asked, Reply, RestStandIn, by_page, changed_within

if TYPE_CHECKING:
    from conftest import Pipeline

MONTHS = {number: f"2024-{number:02}-05T10:00:00Z" for number in range(1, 10)}
SPRING = ("--since", "2024-03-01", "--until", "2024-06-01")
AGAIN = [3, 4, 5]
NEW = 77  # a record that changes between the first run and the window
HERE = Path(__file__).parent
RECORDS = [{"id": number, "updated_at": moment} for number, moment in MONTHS.items()]


class Api:
    """The records of an API; it fails after some answers."""

    def __init__(self, server: RestStandIn) -> None:
        self._server = server
        self._records = [*RECORDS]
        server.routes["/items"] = lambda asked: by_page(changed_within(self._records, asked), asked)

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

    def add(self) -> None:
        self._records.append({"id": NEW, "updated_at": datetime.now(UTC).isoformat()})

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
        place = {"path": f"{self._folder}/*.jsonl", "piece_size": 1}  # a page for each file
        return {"name": "files", "stream": "items", "id": "id", **place}

    def add(self) -> None:
        (self._folder / "new.jsonl").write_text(json.dumps({"id": NEW}))

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

    def add(self) -> None:
        with sqlite3.connect(self._file) as connection:
            connection.execute("INSERT INTO items VALUES (?, strftime('%Y-%m-%d %H:%M:%S', 'now'))", (NEW,))
        connection.close()

    def fail(self) -> None:
        self._file.rename(self._file.with_suffix(".away"))

    def heal(self) -> None:
        self._file.with_suffix(".away").rename(self._file)


class Written:
    """Changes that a source in Python reads, one on a page."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "changes.txt"
        self._file.write_text("\n".join(f"{number} {moment}" for number, moment in MONTHS.items()))

    def source(self) -> dict[str, Any]:
        keys = {"pages": 0, "bounded": True, "paged_changes": True, "trace": "requests.txt"}
        return {"name": "items", "stream": "items", **keys}

    def add(self) -> None:
        with self._file.open("a") as changes:
            changes.write(f"\n{NEW} {datetime.now(UTC).isoformat()}")


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
    assert ("Resuming job" in resumed.stderr) == (kind != "sql")  # which fails before anything is committed
    assert Counter(found(pipeline)) == Counter([*MONTHS, *AGAIN])

    last = pipeline.run()
    assert watermark[:19].replace(" ", "T") in last.stderr or "0 records" in last.stdout
    assert Counter(found(pipeline)) == Counter([*MONTHS, *AGAIN])


@pytest.mark.matrix(share=6)
@pytest.mark.parametrize("runner", ["stream", "thread", "process"])
@pytest.mark.parametrize("kind", ["rest", "sql", "files", "items"])
def test_a_window_that_is_killed_continues_inside_of_it_and_the_watermark_stays(
    pipeline: "Pipeline", api: RestStandIn, kind: str, runner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A watermark that the window had moved back would bring the months after it again; one that it had moved forward
    would lose the record that changed before it ran."""
    makers = {"sql": Table, "files": Files, "items": Written}
    origin = Api(api) if kind == "rest" else makers[kind](pipeline.folder)
    pipeline.source(source_file_path=str(HERE / f"killed_{kind}.py"), sync_mode="incremental", **origin.source())
    pipeline.destination(buffer_size=0).run()
    everything = [] if kind == "items" else [*MONTHS]  # it has a log of changes, and an empty table
    assert sorted(found(pipeline)) == everything
    origin.add()

    (pipeline.folder / "trace.txt").unlink()
    monkeypatch.setenv("KILL_AT", "3")
    pipeline.run("--runner", runner, *SPRING, expect=1 if runner == "process" else -signal.SIGKILL)
    assert sorted(found(pipeline)) == everything
    monkeypatch.delenv("KILL_AT")
    resumed = pipeline.run("--runner", runner, *SPRING)
    assert Counter(found(pipeline)) == Counter([*everything, *AGAIN])
    if runner == "stream":  # the others read ahead of what is written
        assert "Resuming job" in resumed.stderr
        pages = pipeline.trace()
        assert len(pages) - len(set(pages)) == 1, "a kill costs the page in flight"

    time.sleep(1.05)  # until the second of the new record is over
    pipeline.run()
    assert Counter(found(pipeline)) == Counter([*everything, *AGAIN, NEW])


def found(pipeline: "Pipeline") -> list[int]:
    """The ids of the rows in the output."""
    return [int(line["source_record_id"]) for line in pipeline.lines()]
