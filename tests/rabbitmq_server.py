"""A RabbitMQ for tests: the one that is there, else a node of our own.

``rabbitmq_at(folder)`` is what a session fixture yields from: ``BIZON_TEST_RABBITMQ_URL``, else the standard port, else
Debian's ``rabbitmq-server`` with its own name, ports and folder. A :class:`Node` may also be started to be killed.
"""

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

_SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")  # not the one in sbin: that one changes the user
_START = 60.0  # seconds


class Broker(NamedTuple):
    """Where a broker listens, and who may use it."""

    host: str
    port: int
    username: str = "guest"
    password: str = "guest"
    virtual_host: str = "/"

    def connect(self) -> pika.BlockingConnection:
        """A connection of the test's own."""
        credentials = pika.PlainCredentials(self.username, self.password)
        return pika.BlockingConnection(
            pika.ConnectionParameters(self.host, self.port, self.virtual_host, credentials, socket_timeout=5)
        )

    def publish(self, queue: str, body: bytes) -> None:
        """A message in a queue, durably."""
        with self.connect() as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            channel.basic_publish("", queue, body, pika.BasicProperties(delivery_mode=2))

    def delete(self, queue: str) -> None:
        """Remove a queue; it may not exist."""
        with self.connect() as connection:
            connection.channel().queue_delete(queue)

    def waiting(self, queue: str) -> int:
        """Messages that wait in a queue, without those that a consumer has."""
        with self.connect() as connection:
            return int(connection.channel().queue_declare(queue, passive=True).method.message_count)


class Node:
    """A RabbitMQ of the test's own, which listens on a free port of this machine and keeps its data in ``folder``."""

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
        """Returns once it takes connections."""
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
        """As a power cut would. Returns once its name and its port can be taken again: what is waited for is the script
        that has started it, and it may outlive that for a moment."""
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(30)
        self._process = None
        deadline = time.monotonic() + _START
        while self._name.encode() in self._port_mapper("-names") or self._listens():
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self._name} was killed and is still there")
            time.sleep(0.05)

    def remember(self) -> None:
        """Have it write down which queues there are. It does so after a second or two by itself, and a queue that is
        younger is not there when it is killed and starts again."""
        self.control("eval", "ok = mnesia:sync_log().")

    def control(self, *arguments: str) -> None:
        """Run rabbitmqctl on it."""
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
    """Is there a server to start?"""
    return _SERVER.exists() and shutil.which("epmd") is not None


@contextmanager
def rabbitmq_at(folder: Path) -> Iterator[Broker]:
    """A broker for the tests of this process; ``folder`` is used when one has to be started."""
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
