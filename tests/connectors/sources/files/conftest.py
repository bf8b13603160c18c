"""Object stores for the tests of files: S3 by moto, Azure by Azurite, Cloud Storage by an emulator."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import requests
from azurite import ACCOUNT, KEY, Container, azurite
from emulator.serve import NoEmulatorError, cloud_storage
from obstore.store import S3Store
from ports import free_port
from servers import beside_python, served, server_or_skip

S3_KEYS = {"region": "us-east-1", "access_key_id": "an-access-key-id", "secret_access_key": "a-secret-access-key"}


class Bucket:
    """An empty bucket. ``url``: of the bucket, as in a path; ``storage``: the block that leads to it.
    ``knows_content``: an object that is written again with the same content keeps its etag.
    """

    def __init__(
        self,
        url: str,
        storage: dict[str, Any],
        put: Callable[[str, bytes], None],
        put_marker: Callable[[str], None],
        *,
        knows_content: bool = True,
    ) -> None:
        self.url = url
        self.storage = storage
        self.put = put
        self.put_marker = put_marker
        self.knows_content = knows_content

    def keys(self, pattern: str, **keys: Any) -> dict[str, Any]:
        """The keys of a source that reads files of the bucket."""
        return {"path": f"{self.url}/{pattern}", "storage": self.storage, **keys}


@contextmanager
def moto(folder: Path) -> Iterator[str]:
    """Within: an S3 in memory. It takes any keys."""
    url = f"http://127.0.0.1:{free_port()}"
    arguments = ["-H", "127.0.0.1", "-p", url.rpartition(":")[2]]
    with served(beside_python("moto_server"), arguments, url, folder / "log"):
        yield url


@pytest.fixture(scope="session")
def moto_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with moto(tmp_path_factory.mktemp("moto")) as url:
        yield url


@pytest.fixture(scope="session")
def s3_account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The block ``storage`` of an account of an S3 that refuses other keys; it has one bucket, ``bucket``."""
    with moto(tmp_path_factory.mktemp("account")) as url:
        import boto3  # comes with moto

        iam = boto3.Session("any", "any", region_name="us-east-1").client("iam", endpoint_url=url)
        iam.create_user(UserName="reader")
        rule = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [rule]})
        iam.put_user_policy(UserName="reader", PolicyName="all", PolicyDocument=policy)
        key = iam.create_access_key(UserName="reader")["AccessKey"]
        iam.close()
        requests.put(f"{url}/bucket", timeout=10).raise_for_status()
        requests.post(f"{url}/moto-api/reset-auth", data="0", timeout=10).raise_for_status()
        account = {"access_key_id": key["AccessKeyId"], "secret_access_key": key["SecretAccessKey"]}
        yield {"endpoint": url, "region": "us-east-1", **account}


@pytest.fixture(scope="session")
def gcs_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Cloud Storage. It ignores conditions, and takes anybody."""
    try:
        server = cloud_storage(tmp_path_factory.mktemp("gcs")).start()
    except NoEmulatorError as error:
        server_or_skip("Cloud Storage", str(error))
    yield server.url.removesuffix("/storage/v1/b")
    server.stop()


@pytest.fixture(scope="session")
def azure_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The account of an Azure Blob Storage."""
    with azurite(tmp_path_factory.mktemp("azure")) as url:
        yield url


@pytest.fixture
def azure(azure_url: str) -> Bucket:
    name = f"c-{uuid4().hex}"
    container = Container(azure_url, name)
    storage = {"endpoint": azure_url, "account_name": ACCOUNT, "account_key": KEY}
    marker = partial(container.put, data=b"")
    return Bucket(f"az://{name}", storage, container.put, marker, knows_content=False)


@pytest.fixture
def s3(moto_url: str) -> Bucket:
    name = f"b-{uuid4().hex}"
    requests.put(f"{moto_url}/{name}", timeout=10).raise_for_status()
    config: Any = {**S3_KEYS, "endpoint": moto_url}
    store = S3Store(name, config=config, client_options={"allow_http": True})

    def put(key: str, data: bytes) -> None:
        store.put(key, data)

    def put_marker(key: str) -> None:  # obstore drops the slash
        requests.put(f"{moto_url}/{name}/{key}", timeout=10).raise_for_status()

    return Bucket(f"s3://{name}", {**S3_KEYS, "endpoint": moto_url}, put, put_marker)


@pytest.fixture
def gcs(gcs_url: str) -> Bucket:
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage

    client = storage.Client("p", AnonymousCredentials(), client_options={"api_endpoint": gcs_url})  # type: ignore[no-untyped-call]
    bucket = client.create_bucket(f"b-{uuid4().hex}")
    client.close()

    def put(key: str, data: bytes) -> None:
        address = f"{gcs_url}/upload/storage/v1/b/{bucket.name}/o"
        requests.post(address, params={"uploadType": "media", "name": key}, data=data, timeout=10).raise_for_status()

    return Bucket(f"gs://{bucket.name}", {"endpoint": gcs_url, "anonymous": True}, put, lambda key: put(key, b""))


@pytest.fixture(params=["s3", "gcs", "azure"])
def bucket(request: pytest.FixtureRequest) -> Bucket:
    """A bucket of each kind of store."""
    found: Bucket = request.getfixturevalue(request.param)
    return found
