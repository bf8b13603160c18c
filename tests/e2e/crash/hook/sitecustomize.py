"""Kills the run at a named point. Python imports this at its start, in the command and in the children it spawns, when
the folder is on PYTHONPATH; without one of these settings it does nothing.

CRASH_AT is ``POINT`` or ``POINT:N``, the Nth time the point is passed in one process. CRASH_GROUP is the process group
to kill, or ``own`` for the one that the command leads; without it only the process that passes the point is killed. The
points are listed in ``crash_cli.py``.

GUARD_OFF switches a guard off, see ``guards.py``. DISK_LOG is a file that gets what is done on the disk, see
``disk_log.py``.
"""

import os
import re
import signal
import sys
from collections import defaultdict
from collections.abc import Callable
from importlib.abc import MetaPathFinder
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

STAGED = re.compile(r"(\d{10}-\d{10}-\d+-\d+|\d{6}(-\d+)?)\.[a-z]+")
POINT, _, NTH = os.environ.get("CRASH_AT", "").partition(":")
_passed: dict[str, int] = {}


def die() -> None:
    group = os.environ.get("CRASH_GROUP")
    if group:
        os.killpg(int(group), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def passing(point: str) -> None:
    """Count the point, and die when it is the one."""
    if point == POINT:
        _passed[point] = _passed.get(point, 0) + 1
        if _passed[point] == int(NTH or 1):
            die()


def around(owner: Any, name: str, before: Callable[..., None] | None, after: Callable[..., None] | None = None) -> None:
    """Call ``before`` and ``after`` around a function, with its arguments."""
    inner = getattr(owner, name)

    def outer(*args: Any, **kwargs: Any) -> Any:
        if before is not None:
            before(*args, **kwargs)
        result = inner(*args, **kwargs)
        if after is not None:
            after(*args, **kwargs)
        return result

    setattr(owner, name, outer)


def patch_destination(module: ModuleType) -> None:
    around(module.FileDestination, "write_records", None, lambda *_: passing("after_write"))
    around(module.FileDestination, "finalize", lambda *_: passing("before_finalize"))


def patch_manifest(module: ModuleType) -> None:
    def marked(_output: Any, state: str) -> None:
        passing(f"after_{state}")

    around(module.Output, "mark", None, marked)


def patch_backend(module: ModuleType) -> None:
    def before(_backend: Any, _job_id: str, status: str, *_: Any, **_keys: Any) -> None:
        if status == "succeeded":
            passing("before_success")

    def after(_backend: Any, _job_id: str, status: str, *_: Any, **_keys: Any) -> None:
        if status == "succeeded":
            passing("after_success")

    around(module.SQLAlchemyBackend, "create_destination_cursor", None, lambda *_: passing("after_cursor"))
    around(module.SQLAlchemyBackend, "update_stream_job_status", before, after)


def patch_bigquery(module: ModuleType) -> None:
    around(module.BigQueryDestination, "write_records", None, lambda *_: passing("after_write"))
    around(module.BigQueryDestination, "finalize", lambda *_: passing("before_finalize"))
    around(module.BigQueryDestination, "_publish", None, lambda *_, **__: passing("after_publishing_job"))
    around(module.Objects, "write", None, lambda *_: passing("after_upload"))
    around(module.Loads, "load", None, lambda *_: passing("after_load"))
    around(module.Staging, "remove", lambda *_: passing("removing"))


def patch_bigquery_v2(module: ModuleType) -> None:
    around(module.BigQueryStreamingV2Destination, "write_records", None, lambda *_: passing("after_write"))
    around(module.BigQueryStreamingV2Destination, "finalize", lambda *_: passing("before_finalize"))
    around(module.BigQueryStreamingV2Destination, "_publish", None, lambda *_, **__: passing("after_publishing_job"))
    around(module.MarkedStaging, "remove", lambda *_: passing("removing"))
    around(module.TableWriter, "write", None, lambda *_: passing("after_append"))


def is_ready(path: Any) -> bool:
    return Path(path).name.startswith("ready.")


def tear_ready(handle: int) -> None:
    """The output was being put together and only half of it reached the disk."""
    if POINT == "ready_torn" and is_ready(os.readlink(f"/proc/self/fd/{handle}")):
        os.ftruncate(handle, os.fstat(handle).st_size // 2)
        passing("ready_torn")


def patch_os() -> None:
    """``random`` counts what bizon does on the disk, and dies before the Nth of it."""
    published = [False]

    def before_replace(source: Any, _target: Any) -> None:
        passing("random")
        if is_ready(source):
            passing("before_replace")

    def after_replace(source: Any, _target: Any) -> None:
        if is_ready(source):
            published[0] = True
            passing("after_replace")

    def before_unlink(path: Any, **_: Any) -> None:
        passing("random")
        if published[0] and STAGED.fullmatch(Path(path).name):
            passing("discarding")

    def before_fsync(handle: int) -> None:
        passing("random")
        tear_ready(handle)

    around(os, "replace", before_replace, after_replace)
    around(os, "unlink", before_unlink)
    around(os, "fsync", before_fsync)


class Patcher(MetaPathFinder):
    """Patches modules of bizon right after they are loaded."""

    def __init__(self) -> None:
        self.patches: defaultdict[str, list[Callable[[ModuleType], None]]] = defaultdict(list)

    def find_spec(self, name: str, path: Any = None, _target: Any = None) -> Any:
        spec = PathFinder.find_spec(name, path) if name in self.patches else None
        if spec is None or spec.loader is None:
            return None
        load = spec.loader.exec_module

        def load_and_patch(module: ModuleType) -> None:
            load(module)
            for patch in self.patches[name]:
                patch(module)

        spec.loader.exec_module = load_and_patch  # type: ignore[method-assign]
        return spec


def patcher() -> Patcher:
    """What the settings ask for. A guard is switched off first: points and the log see what is left."""
    found = Patcher()
    if name := os.environ.get("GUARD_OFF"):
        from guards import guards

        if name not in guards():
            raise SystemExit(f"GUARD_OFF: there is no guard '{name}'")
        found.patches[guards()[name].module].append(guards()[name].apply)
    if os.environ.get("DISK_LOG"):
        from disk_log import log_disk

        found.patches["bizon.engine.backend.adapters.sqlalchemy.backend"].append(log_disk)
    if POINT:
        patch_os()
        found.patches["bizon.connectors.destinations.file.src.destination"].append(patch_destination)
        found.patches["bizon.connectors.destinations.bigquery.src.destination"].append(patch_bigquery)
        found.patches["bizon.connectors.destinations.bigquery_streaming_v2.src.destination"].append(patch_bigquery_v2)
        found.patches["bizon.connectors.destinations.file.src.manifest"].append(patch_manifest)
        found.patches["bizon.engine.backend.adapters.sqlalchemy.backend"].append(patch_backend)
    return found


if os.environ.get("CRASH_GROUP") == "own":  # this is the command; its children are told which group that is
    os.environ["CRASH_GROUP"] = str(os.getpid())
if any(os.environ.get(name) for name in ("CRASH_AT", "GUARD_OFF", "DISK_LOG")):
    sys.meta_path.insert(0, patcher())
