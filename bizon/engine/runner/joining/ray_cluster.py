"""The connection of a driver to a Ray cluster."""

import ipaddress
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import ray

from bizon.common.errors.errors import ClusterError

if TYPE_CHECKING:
    from bizon.engine.runner.config import RayConfig

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_PATIENCE = 5.0  # seconds


@contextmanager
def connected(config: "RayConfig") -> Iterator[None]:
    """Within: this process is a driver. A program that is one already stays one. Raises ClusterError when the
    cluster cannot be reached."""
    if ray.is_initialized():
        yield
        return
    with _handlers_kept():
        _connect(config.address)
    try:
        yield
    finally:
        with _handlers_kept():
            ray.shutdown()


def _connect(address: str) -> None:
    dashboard = {"include_dashboard": False} if address == "local" else {}
    try:
        _check_reached(address)
        ray.init(address=address, log_to_driver=False, configure_logging=False, **dashboard)
    except Exception as error:  # Ray raises of its own, of Python and of gRPC
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise ClusterError(
            f"engine.runner.ray.address: no Ray cluster is reached at '{address}': {first}; start one with `ray start "
            "--head`, or give the address of one, or 'local'"
        ) from error


def _check_reached(address: str) -> None:
    """Raise OSError when nobody listens at an address with a port. Ray itself would try for ten minutes."""
    parts = urlsplit(address if "://" in address else f"//{address}")
    if parts.hostname is None or parts.port is None:
        return
    hosts = [parts.hostname, *([ray.util.get_node_ip_address()] if _is_loopback(parts.hostname) else [])]
    for host in hosts:  # of a cluster on this machine, Ray may listen at one of them
        try:
            return socket.create_connection((host, parts.port), _PATIENCE).close()
        except OSError as error:
            failed = error
    raise failed


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name
        return False


@contextmanager
def _handlers_kept() -> Iterator[None]:
    """Ray replaces the handler of SIGTERM, and the stop of a run would be lost."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {each: signal.getsignal(each) for each in _SIGNALS}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
