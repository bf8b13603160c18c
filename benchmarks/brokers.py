"""The brokers that rows need: a RabbitMQ that runs already, and a Kafka broker of their own."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

RABBITMQ = ("127.0.0.1", 5672)
_START = 30.0  # seconds


class NoBrokerError(RuntimeError):
    """A row cannot be measured: there is no broker."""


def rabbitmq() -> dict[str, object]:
    """The ``engine.queue.config.queue`` block of the broker on this machine."""
    host, port = RABBITMQ
    if not _answers(port):
        raise NoBrokerError(f"no RabbitMQ at {host}:{port}")
    return {"host": host, "port": port}


@contextmanager
def kafka() -> Iterator[str]:
    """Within: a Kafka broker at this address, on disk."""
    package = find_spec("noida_db")
    program = None if package is None or package.origin is None else Path(package.origin).parent / "bin" / "noida-db"
    if program is None or not program.exists():
        program = Path(sys.executable).with_name("noida-db")
    if not program.exists():
        raise NoBrokerError("the broker of the development environment (noida-db) is not installed")
    folder, port = Path(tempfile.mkdtemp(prefix="broker-")), _free_port()
    arguments = [str(program), "start", "--only", "kafka", "--kafka-port", str(port), "--data-dir", str(folder)]
    with (folder / "log").open("wb") as log:
        broker = subprocess.Popen(arguments, stdout=log, stderr=log, process_group=0)
    try:
        deadline = time.monotonic() + _START
        while not _answers(port):
            if broker.poll() is not None or time.monotonic() > deadline:
                raise NoBrokerError((folder / "log").read_text(errors="replace")[-300:] or "the broker does not start")
            time.sleep(0.05)
        yield f"127.0.0.1:{port}"
    finally:
        os.killpg(broker.pid, 15)
        broker.wait(timeout=_START)
        shutil.rmtree(folder, ignore_errors=True)


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
