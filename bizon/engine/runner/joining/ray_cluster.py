"""The connection of a driver to a Ray cluster."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import ray

from bizon.common.errors.errors import ConfigError

if TYPE_CHECKING:
    from bizon.engine.runner.config import RayConfig

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_KEY = ("engine", "runner", "ray", "address")


@contextmanager
def connected(config: "RayConfig") -> Iterator[None]:
    """Within: this process is a driver. A program that is one already stays one. Raises ConfigError when the cluster
    cannot be reached."""
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
        ray.init(address=address, log_to_driver=False, configure_logging=False, **dashboard)
    except Exception as error:  # Ray raises of its own, of Python and of gRPC
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(
            f"no Ray cluster is reached at '{address}': {first}; start one with `ray start --head`, or give the "
            "address of one, or 'local'",
            key=_KEY,
        ) from error


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
