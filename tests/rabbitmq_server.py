"""A RabbitMQ for tests: an available broker, or a node that the tests start.

``rabbitmq_at(folder)`` yields the broker for a session fixture: from ``BIZON_TEST_RABBITMQ_URL``, on the standard port,
or Debian's ``rabbitmq-server`` with a separate name, ports and folder. A test may also start a :class:`Node` to kill
it."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, Self
from urllib.parse import unquote, urlsplit

import pika
from ports import free_port
from servers import server_or_skip

_SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")  # not the one in sbin, which changes the user
_START = 60.0  # seconds


class Broker(NamedTuple):
    """The address of a broker, and its user."""

    host: str
    port: int
    username: str = "guest"
    password: str = "guest"
    virtual_host: str = "/"

    def connect(self) -> pika.BlockingConnection:
        """A separate connection for the test."""
        credentials = pika.PlainCredentials(self.username, self.password)
        return pika.BlockingConnection(
            pika.ConnectionParameters(self.host, self.port, self.virtual_host, credentials, socket_timeout=5)
        )

    def publish(self, queue: str, body: bytes) -> None:
        """Put a durable message into a queue."""
        with self.connect() as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            channel.basic_publish("", queue, body, pika.BasicProperties(delivery_mode=2))

    def delete(self, queue: str) -> None:
        """Remove a queue; it may not exist."""
        with self.connect() as connection:
            connection.channel().queue_delete(queue)

    def waiting(self, queue: str) -> int:
        """The number of messages that wait in a queue, without those delivered to a consumer."""
        with self.connect() as connection:
            return int(connection.channel().queue_declare(queue, passive=True).method.message_count)


class Node:
    """A separate RabbitMQ, which listens on a free port and keeps its data in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        port, self._dist, self._epmd = free_port(), free_port(), free_port()
        self.broker = Broker("127.0.0.1", port)
        self._name = f"bizon{port}"
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "rabbitmq.conf").write_text(f"listeners.tcp.local = 127.0.0.1:{port}\n")
        (folder / "enabled_plugins").write_text("[].\n")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._port_mapper("-kill")

    def start(self) -> None:
        """Returns once the node accepts connections."""
        with (self._folder / "out.log").open("ab") as log:
            self._process = subprocess.Popen(
                [_SERVER], env=self._environment(), stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + _START
        while not self._answers():
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise RuntimeError(f"rabbitmq-server did not start:\n{(self._folder / 'out.log').read_text()[-2000:]}")
            time.sleep(0.05)

    def kill(self) -> None:
        """Stop the node like a power cut. Returns once its name and port are free again, since the node may live a
        moment longer than the script that started it."""
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(30)
        self._process = None
        deadline = time.monotonic() + _START
        while self._name.encode() in self._port_mapper("-names") or self._listens():
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self._name} was killed and still runs")
            time.sleep(0.05)

    def remember(self) -> None:
        """Make the node write its list of queues to disk. By itself it waits a second or two, and a kill loses younger
        queues."""
        self.control("eval", "ok = mnesia:sync_log().")

    @contextmanager
    def short_of_disk(self) -> Iterator[None]:
        """Within: the node has raised a resource alarm, so it accepts no messages."""
        self.control("set_disk_free_limit", str(10**18))
        try:
            yield
        finally:
            self.control("set_disk_free_limit", str(10**6))

    def control(self, *arguments: str) -> None:
        """Run rabbitmqctl on the node."""
        command = [_SERVER.with_name("rabbitmqctl"), "-n", f"{self._name}@localhost", *arguments]
        subprocess.run(command, env=self._environment(), capture_output=True, check=True, timeout=60)

    def _port_mapper(self, command: str) -> bytes:
        how = {"env": self._environment(), "capture_output": True, "check": False, "timeout": 30}
        return subprocess.run(["epmd", command], **how).stdout

    def _listens(self) -> bool:
        return _listens(self.broker.host, self.broker.port)

    def _answers(self) -> bool:
        if not self._listens():
            return False
        try:
            self.broker.connect().close()
        except (OSError, pika.exceptions.AMQPError):
            return False
        return True

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self._folder),
            "ERL_EPMD_PORT": str(self._epmd),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"{self._name}@localhost",
            "RABBITMQ_DIST_PORT": str(self._dist),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_CONFIG_FILE": str(self._folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._folder / "enabled_plugins"),
            "RABBITMQ_MNESIA_BASE": str(self._folder / "data"),
            "RABBITMQ_LOG_BASE": str(self._folder / "log"),
            "RABBITMQ_PID_FILE": str(self._folder / "pid"),
        }


def can_start() -> bool:
    """Whether a server is installed that can be started."""
    return _SERVER.exists() and shutil.which("epmd") is not None


@contextmanager
def node_at(folder: Path, reason: str) -> Iterator[Node]:
    """Within: a node of the tests' own is running. ``reason``: why no other broker will do."""
    if not can_start():
        server_or_skip("RabbitMQ", f"no rabbitmq-server to start, and {reason}")
    with Node(folder) as started:
        yield started


@contextmanager
def rabbitmq_at(folder: Path) -> Iterator[Broker]:
    """A broker for the tests of this process; ``folder``: for a broker that has to be started."""
    url = os.environ.get("BIZON_TEST_RABBITMQ_URL")
    if url:
        parts = urlsplit(url)
        yield Broker(
            parts.hostname or "127.0.0.1",
            parts.port or 5672,
            unquote(parts.username or "guest"),
            unquote(parts.password or "guest"),
            unquote(parts.path[1:]) or "/",
        )
    elif _listens("127.0.0.1", 5672):
        yield Broker("127.0.0.1", 5672)
    elif can_start():
        with Node(folder) as node:
            yield node.broker
    else:
        server_or_skip("RabbitMQ", "no BIZON_TEST_RABBITMQ_URL, nothing on port 5672, no rabbitmq-server to start")


def _listens(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0
