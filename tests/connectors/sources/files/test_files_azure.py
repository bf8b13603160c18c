"""Files in Azure, through the real command: ``az://`` paths, read once and again for what changed, killed inside of an
archive; no output has the key."""

import base64
import gzip
import json
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from azurite import ACCOUNT, KEY, shared_access_signature
from e2e.conftest import Pipeline
from e2e.planted import assert_nowhere, everything, files_of, shown_by
from e2e.test_files import KILLED

if TYPE_CHECKING:
    from connectors.sources.files.conftest import Bucket

pytestmark = pytest.mark.matrix(share=3, pool="Azure")

ROWS = [{"id": number, "text": f"{number:0180}"} for number in range(2000)]
SIGNATURE = shared_access_signature()
KEYS: dict[str, Any] = {"account_key": KEY, "sas_token": SIGNATURE}


def lines(*rows: dict[str, Any]) -> bytes:
    return "".join(f"{json.dumps(row)}\n" for row in rows).encode()


@pytest.fixture(params=KEYS)
def events(pipeline: Pipeline, azure: "Bucket", request: pytest.FixtureRequest) -> Pipeline:
    """A pipeline of the files below ``events/``, by each kind of credentials."""
    storage = {"endpoint": azure.storage["endpoint"], "account_name": ACCOUNT, request.param: KEYS[request.param]}
    keys = {**azure.keys("events/**/*.jsonl.gz", id="id"), "storage": storage}
    return pipeline.source(source_file_path=None, name="files", stream="events", sync_mode="incremental", **keys)


@pytest.fixture
def pipeline(tmp_path: Path) -> Pipeline:
    return Pipeline(tmp_path)


def test_runs_append_what_is_new_or_changed_and_no_output_has_the_key(events: Pipeline, azure: "Bucket") -> None:
    azure.put("events/2024/05/a.jsonl.gz", gzip.compress(lines(*ROWS[:3])))
    azure.put("events/b.jsonl.gz", gzip.compress(lines(*ROWS[3:5])))
    azure.put("events/2024/c.csv", b"id\n77\n")
    azure.put("others/d.jsonl.gz", gzip.compress(lines({"id": 78})))
    shown = events.run("--log-level", "DEBUG")
    assert sorted(events.ids()) == [0, 1, 2, 3, 4]
    events.run()
    assert sorted(events.ids()) == [0, 1, 2, 3, 4]
    azure.put("events/2023/late.jsonl.gz", gzip.compress(lines({"id": 5})))
    azure.put("events/b.jsonl.gz", gzip.compress(lines({"id": 6})))
    events.run()
    assert sorted(events.ids()[5:]) == [5, 6]
    said = shown.stdout + shown.stderr + shown_by(events, "preview", "config.yml") + files_of(events.folder, "config")
    for secret in (KEY, SIGNATURE.rpartition("sig=")[2]):
        assert_nowhere(said, secret)


WRONG = base64.b64encode(b"another-account-key-of-azure/+=.").decode()
REFUSED = {"account_key": WRONG, "sas_token": f"{SIGNATURE.rpartition('sig=')[0]}sig={quote(WRONG, '')}"}


@pytest.mark.parametrize("name", ["a.jsonl", "*.jsonl", "a.parquet"])
@pytest.mark.parametrize("kind", REFUSED)
def test_a_refusal_says_so_without_the_key(pipeline: Pipeline, azure: "Bucket", kind: str, name: str) -> None:
    azure.put("a.jsonl", lines(ROWS[0]))
    storage = {"endpoint": azure.storage["endpoint"], "account_name": ACCOUNT, kind: REFUSED[kind]}
    keys = {**azure.keys(name), "storage": storage}
    pipeline.source(source_file_path=None, name="files", stream="events", **keys)
    said = everything(pipeline, "thread")
    assert "access is denied, check the keys of storage" in said
    assert_nowhere(said, WRONG)


def test_a_run_that_is_killed_inside_of_an_archive_continues_there(
    events: Pipeline, azure: "Bucket", monkeypatch: pytest.MonkeyPatch
) -> None:
    azure.put("events/a.jsonl.gz", gzip.compress(lines(*ROWS)))
    events.source(source_file_path=str(KILLED), piece_size=20_000).destination(buffer_size=0)
    kills = (1, 6, 9)
    for kill in kills:
        monkeypatch.setenv("KILL_AT", str(kill))
        events.run("--runner", "stream", expect=-signal.SIGKILL)
    monkeypatch.delenv("KILL_AT")
    events.run("--runner", "stream")
    assert [json.loads(line["source_data"]) for line in events.lines()] == ROWS
    asked = events.trace()
    assert len(asked) - len(set(asked)) == len(kills), "a kill costs the piece in flight"
    assert len(set(asked)) > 15
