"""Makes a part of the run fail. Python imports this at its start, in the command and in the children it spawns, when
the folder is on PYTHONPATH; without FAULT it does nothing. FAULT is JSON; the functions below say which keys there are.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib.abc import MetaPathFinder
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

FAULTS: dict[str, Any] = json.loads(os.environ.get("FAULT", "{}"))
HOLD_AT_MOST = 60  # seconds


def note(line: str) -> None:
    with Path("fault.txt").open("a") as file:
        file.write(f"{line}\n")


def replace(owner: Any, name: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    setattr(owner, name, make(getattr(owner, name)))


def hold(owner: Any, name: str) -> None:
    """``{"hold": {"finalize": 2}}``: the second call of this process waits until the file ``go.finalize`` exists."""
    if name not in FAULTS.get("hold", {}):
        return
    calls = [0]

    def make(inner: Callable[..., Any]) -> Callable[..., Any]:
        def outer(*args: Any, **kwargs: Any) -> Any:
            calls[0] += 1
            if calls[0] == FAULTS["hold"][name]:
                note(f"{name} {os.getpid()}")
                deadline = time.monotonic() + HOLD_AT_MOST
                while not Path(f"go.{name}").exists() and time.monotonic() < deadline:
                    time.sleep(0.01)
            return inner(*args, **kwargs)

        return outer

    replace(owner, name, make)


def misbehave(answer: str, act: Callable[[], Any]) -> Any:
    """Misbehave as a destination can, instead of its work; ``die`` does the work first."""
    if answer == "raise":
        raise RuntimeError("the warehouse is on fire")
    if answer == "unavailable":
        from bizon.common.errors.errors import DestinationWriteError

        raise DestinationWriteError("the warehouse answers 503", retryable=True)
    if answer == "die":
        act()
        os.kill(os.getpid(), signal.SIGKILL)
    return act()


def patch_destination(module: ModuleType) -> None:
    """``{"write": ["ok", "false"]}``: the answers of ``write_records``, one call after another; the last one repeats.
    ``finalize`` likewise. Each call is noted. ``{"write_takes": 6}``: seconds of each write."""
    hold(module.FileDestination, "finalize")
    if "write_takes" in FAULTS:
        replace(module.FileDestination, "write_records", _slow)
    for key, name, refusal in (
        ("write", "write_records", (False, "the table is closed")),
        ("finalize",) * 2 + (False,),
    ):
        answers = list(FAULTS.get(key, []))
        if answers:
            replace(module.FileDestination, name, lambda inner, a=answers, k=key, r=refusal: _answering(inner, a, k, r))


def _slow(inner: Callable[..., Any]) -> Callable[..., Any]:
    def outer(*args: Any) -> Any:
        time.sleep(FAULTS["write_takes"])
        return inner(*args)

    return outer


def _answering(inner: Callable[..., Any], answers: list[str], key: str, refusal: Any) -> Callable[..., Any]:
    def outer(*args: Any) -> Any:
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        note(f"{key} {answer}")
        return refusal if answer == "false" else misbehave(answer, lambda: inner(*args))

    return outer


def patch_retries(module: ModuleType) -> None:
    """``{"retry_wait": 0.01}``: seconds between the tries of a write; their number stays."""
    if "retry_wait" in FAULTS:
        module.RETRY_WAITS = tuple(FAULTS["retry_wait"] for _ in module.RETRY_WAITS)  # type: ignore[attr-defined]


def patch_transactions(module: ModuleType) -> None:
    """``{"patience": 0.5}``: seconds that the state may be unreachable."""
    if "patience" in FAULTS:
        module.PATIENCE = FAULTS["patience"]  # type: ignore[attr-defined]


def patch_engines(module: ModuleType) -> None:
    """``{"busy_timeout": 0.2}``: seconds a statement waits for another writer."""
    if "busy_timeout" in FAULTS:
        module._BUSY_TIMEOUT = FAULTS["busy_timeout"]  # type: ignore[attr-defined]
    if "clock" in FAULTS:

        def make(inner: Callable[..., None]) -> Callable[..., None]:
            def outer(connection: Any, record: Any) -> None:
                connection.create_function("current_timestamp", 0, lambda: f"{shifted_now():%Y-%m-%d %H:%M:%S}")
                inner(connection, record)

            return outer

        replace(module, "_use_write_ahead_log", make)


def patch_backend(module: ModuleType) -> None:
    hold(module.SQLAlchemyBackend, "create_all_tables")
    hold(module.SQLAlchemyBackend, "acquire_lease")
    hold(module.SQLAlchemyBackend, "create_destination_cursor")
    hold(module.SQLAlchemyBackend, "update_stream_job_status")
    hold(module.SQLAlchemyBackend, "remove_stream_job")
    hold(module.SQLAlchemyBackend, "join_job")


def patch_clock(module: ModuleType) -> None:
    """``{"clock": -3600}``: seconds by which the clocks of this machine and of SQLite are off."""
    if "clock" in FAULTS:
        module.utc_now = shifted_now  # type: ignore[attr-defined]


def shifted_now() -> datetime:
    return datetime.now(UTC) + timedelta(seconds=FAULTS["clock"])


class Patcher(MetaPathFinder):
    """Patches a module of bizon right after it is loaded."""

    PATCHES = {
        **({"bizon.common.clock": patch_clock} if "clock" in FAULTS else {}),
        "bizon.connectors.destinations.file.src.destination": patch_destination,
        "bizon.engine.backend.adapters.sqlalchemy.backend": patch_backend,
        "bizon.engine.backend.adapters.sqlalchemy.engines": patch_engines,
        "bizon.engine.backend.adapters.sqlalchemy.transactions": patch_transactions,
        "bizon.engine.pipeline.failures": patch_retries,
    }

    def find_spec(self, name: str, path: Any = None, _target: Any = None) -> Any:
        patch = self.PATCHES.get(name)
        spec = PathFinder.find_spec(name, path) if patch is not None else None
        if patch is None or spec is None or spec.loader is None:
            return None
        load = spec.loader.exec_module

        def load_and_patch(module: ModuleType) -> None:
            load(module)
            patch(module)

        spec.loader.exec_module = load_and_patch  # type: ignore[method-assign]
        return spec


if FAULTS:
    if not sys.modules.keys().isdisjoint(Patcher.PATCHES):  # others already hold what it would replace
        for name in [name for name in sys.modules if name.partition(".")[0] == "bizon"]:
            del sys.modules[name]
    sys.meta_path.insert(0, Patcher())
