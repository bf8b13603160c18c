"""Files in object stores: S3, Cloud Storage and Azure, by real requests to emulators."""

import gzip
import io
import socket
import sys
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from connectors.sources.files.files_kit import changed_since, read, source
from obstore.store import S3Store

from bizon.common.errors.errors import MissingDependencyError, SourceConnectionError, SourceFetchError
from bizon.connectors.sources.files.src.object_store import ObjectStore
from bizon.connectors.sources.files.src.storage import ChangedError

if TYPE_CHECKING:
    from connectors.sources.files.conftest import Bucket

ODD = "a b/ü+#%41/[1].jsonl"


def lines(*numbers: int) -> bytes:
    return "".join(f'{{"n": {number}}}\n' for number in numbers).encode()


def parquet(*numbers: int) -> bytes:
    data = io.BytesIO()
    pl.DataFrame({"n": numbers}).write_parquet(data)
    return data.getvalue()


def numbers(**keys: Any) -> list[int]:
    return [int(each["n"]) for each in read(**keys).data]


def test_every_format(bucket: "Bucket") -> None:
    bucket.put("in/a.jsonl", lines(1, 2))
    bucket.put("in/b.csv.gz", gzip.compress(b"n\n3\n"))
    bucket.put("in/deep/c.json", b'[{"n":4}]')
    bucket.put("in/d.parquet", parquet(5, 6))
    bucket.put("in/.e.jsonl", lines(7))
    bucket.put("out/f.jsonl", lines(8))
    found = read(**bucket.keys("in/**"))
    assert [int(each["n"]) for each in found.data] == [1, 2, 3, 5, 6, 4]
    assert found.ids[0] == f"{bucket.url}/in/a.jsonl#1"
    assert numbers(**bucket.keys("in/*.jsonl")) == [1, 2]
    assert numbers(**bucket.keys("in/d.parquet")) == [5, 6]
    assert source(**bucket.keys("in/**")).check_connection() == (True, None)


@pytest.mark.parametrize("key", [ODD, ODD.replace("jsonl", "parquet")])
def test_unusual_names(bucket: "Bucket", key: str) -> None:
    bucket.put(key, lines(1) if key.endswith("jsonl") else parquet(1))
    assert numbers(**bucket.keys("**")) == [1]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of bytes of each request for content."""
    found: list[int] = []
    usual = ObjectStore.read

    def noted(self: ObjectStore, info: Any, start: int, end: int) -> bytes:
        found.append(end - start)
        return usual(self, info, start, end)

    monkeypatch.setattr(ObjectStore, "read", noted)
    return found


def test_a_large_file_is_read_by_ranges_and_resumes(bucket: "Bucket", asked: list[int]) -> None:
    content = lines(*range(40_000))
    bucket.put("a.jsonl", content)
    keys = bucket.keys("a.jsonl", piece_size=70_000)
    whole = read(**keys)
    assert [int(each["n"]) for each in whole.data] == list(range(40_000))
    assert max(asked) <= 70_000
    assert sum(asked) == len(content), "no byte is read twice"
    asked.clear()
    middle = len(whole.frames) // 2
    rest = read(whole.paginations[middle], **keys)
    assert rest.ids == [id_ for each in whole.frames[middle + 1 :] for id_ in each["id"]]
    assert sum(asked) < len(content) * 0.7


@pytest.mark.parametrize("key", ["a.csv", "a.jsonl", "a.json", "a.csv.gz"])
def test_a_small_file_is_one_request(bucket: "Bucket", key: str, asked: list[int]) -> None:
    content = {"a.csv": b"n\n1\n", "a.jsonl": lines(1), "a.json": b'[{"n":1}]', "a.csv.gz": gzip.compress(b"n\n1\n")}
    bucket.put(key, content[key])
    assert numbers(**bucket.keys("*")) == [1]
    assert asked == [len(content[key])]


def test_a_signature_is_in_no_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
    storage = {"endpoint": url, "account_name": "a", "sas_token": "sv=2024&sig=a-secret%3D", "retries": 0}
    for path in ("az://c/*", "az://c/a.parquet"):
        ok, reason = source(path=path, storage=storage).check_connection()
        assert not ok
        assert "cannot be read" in reason
        assert "a-secret" not in reason


@pytest.mark.parametrize("format_", ["jsonl", "parquet"])
@pytest.mark.parametrize("is_resumed", [False, True])
def test_a_file_that_changes_inside_is_an_error(bucket: "Bucket", format_: str, is_resumed: bool) -> None:
    make = lines if format_ == "jsonl" else parquet
    bucket.put(f"a.{format_}", make(*range(1000)))
    keys = bucket.keys(f"a.{format_}", piece_size=1000)
    opened = source(**keys)
    following = opened.get({}).next_pagination
    assert following["path"] == f"{bucket.url}/a.{format_}"
    bucket.put(f"a.{format_}", make(*range(1, 1001)))
    with pytest.raises(SourceFetchError, match=rf"a\.{format_} has changed"):
        (source(**keys) if is_resumed else opened).get(following)


@pytest.mark.parametrize("format_", ["jsonl", "parquet"])
def test_a_file_that_changes_before_its_first_page_is_read_as_it_is(
    bucket: "Bucket", format_: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = lines if format_ == "jsonl" else parquet
    bucket.put(f"a.{format_}", make(1))
    opened = source(**bucket.keys(f"a.{format_}"))
    usual = ObjectStore.open
    changes = iter([1])

    def late(self: ObjectStore, info: Any) -> Any:
        for _ in changes:
            bucket.put(f"a.{format_}", make(2))
        return usual(self, info)

    monkeypatch.setattr(ObjectStore, "open", late)
    assert "2" in opened.get({}).records.text[0]  # type: ignore[union-attr]


def test_incremental_runs_go_by_the_etag(bucket: "Bucket") -> None:
    bucket.put("b.jsonl", lines(1))
    bucket.put("c.jsonl", lines(2))
    first = read(**bucket.keys("*"))
    bucket.put("a.jsonl", lines(3))
    bucket.put("b.jsonl", lines(1))  # written again, with the same content
    bucket.put("c.jsonl", lines(4))
    second = read(state=changed_since(first.state), **bucket.keys("*"))
    assert [each["n"] for each in second.data] == ([3, 4] if bucket.knows_content else [3, 1, 4])
    assert read(state=changed_since(second.state), **bucket.keys("*")).ids == []


def test_a_missing_object_is_an_error(s3: "Bucket") -> None:
    assert source(**s3.keys("no/*")).check_connection() == (
        False,
        f"no file matches {s3.url}/no/*; if that is right, and the stream is empty, set source.allow_no_files: true",
    )
    with pytest.raises(SourceConnectionError, match="no file matches"):
        read(**s3.keys("no.jsonl"))
    ok, reason = source(path="s3://no-such-bucket/*", storage=s3.storage).check_connection()
    assert not ok
    assert "NoSuchBucket" in reason
    assert "\n" not in reason


def test_an_unreachable_server_is_an_error_on_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
    storage = {"endpoint": url, "access_key_id": "x", "secret_access_key": "y", "retries": 0, "timeout": 5}
    with pytest.raises(SourceConnectionError, match=r"^s3://b: cannot be read: .*") as found:
        read(path="s3://b/*", storage=storage)
    assert found.value.retryable
    assert "\n" not in str(found.value)


@pytest.mark.parametrize(("scheme", "extra"), [("s3", "s3"), ("gs", "gcs"), ("az", "azure")])
def test_a_store_without_its_package_says_what_to_install(
    scheme: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    monkeypatch.delitem(sys.modules, "bizon.connectors.sources.files.src.object_store", raising=False)
    with pytest.raises(MissingDependencyError, match=rf"pip install 'bizon\[{extra}\]'"):
        source(path=f"{scheme}://b/a.jsonl")


def test_the_marker_of_a_folder_is_not_a_file(bucket: "Bucket") -> None:
    """Consoles create an empty object, whose key ends with a slash, for each folder."""
    bucket.put_marker("in/deep/")
    bucket.put("in/deep/a.jsonl", lines(1))
    assert numbers(**bucket.keys("in/**")) == [1]
    assert numbers(**bucket.keys("**/*")) == [1]
    bucket.put("in/empty.jsonl.gz", b"")
    with pytest.raises(SourceFetchError, match=r"in/empty\.jsonl\.gz .* is cut off"):
        read(**bucket.keys("in/**"))


def test_bytes_of_another_version_are_never_returned(bucket: "Bucket") -> None:
    """The emulator of Cloud Storage ignores the condition of a request: the answer is checked, too."""
    bucket.put("a.jsonl", lines(1))
    opened = source(**bucket.keys("a.jsonl"))._storage
    info = opened.info(f"{bucket.url}/a.jsonl")
    assert opened.open(info).read_at(0, 100) == lines(1)
    bucket.put("a.jsonl", lines(2))
    with pytest.raises(ChangedError):
        opened.open(info).read_at(0, 100)


def test_without_keys_the_environment_has_them(s3_account: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    place = {key: s3_account[key] for key in ("endpoint", "region")}
    config: Any = s3_account
    store = S3Store("bucket", config=config, client_options={"allow_http": True})
    store.put("environment/a.jsonl", lines(1))
    store.put("environment/b.parquet", parquet(2))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "not-the-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-the-secret")
    ok, reason = source(path="s3://bucket/environment/*", storage=place).check_connection()
    assert not ok
    assert "access is denied, check the keys of storage" in reason
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_account["access_key_id"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_account["secret_access_key"])
    assert numbers(path="s3://bucket/environment/*", storage=place) == [1, 2]
