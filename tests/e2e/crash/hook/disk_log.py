"""Log disk operations and the records that vouch for them, in order, one JSON list a line in the file DISK_LOG names:

``["fsync", path, size]``; ``["rename", from, to, size]``, both with the size None for a folder;
``["link", from, to, size]``;
``["folder", path]``, one was made; ``["manifest", path, state]``, a rename put it in place;
``["cursor", first, last]``; ``["succeeded"]``. Each is logged after the operation.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

_LOG = os.environ.get("DISK_LOG", "")


def log(*event: Any) -> None:
    with Path(_LOG).open("a") as lines:
        lines.write(json.dumps([str(part) if isinstance(part, Path) else part for part in event]) + "\n")


def after(owner: Any, name: str, tell: Callable[..., None]) -> None:
    """Call ``tell`` with the arguments of a function once it has returned."""
    inner = getattr(owner, name)

    def call(*args: Any, **keys: Any) -> Any:
        result = inner(*args, **keys)
        tell(*args, **keys)
        return result

    setattr(owner, name, call)


def full(path: Any) -> Path:
    return Path(os.path.abspath(path))


def flushed(handle: int) -> None:
    path = Path(os.readlink(f"/proc/self/fd/{handle}"))
    log("fsync", path, None if path.is_dir() else os.fstat(handle).st_size)


def renamed(source: Any, target: Any) -> None:
    log("rename", full(source), full(target), None if full(target).is_dir() else full(target).stat().st_size)
    if full(target).name == "manifest.json":
        log("manifest", full(target), json.loads(full(target).read_bytes())["state"])


def linked(source: Any, target: Any) -> None:
    log("link", full(source), full(target), full(target).stat().st_size)


def made(path: Any, *_args: Any, **_keys: Any) -> None:
    log("folder", full(path))


def committed(_backend: Any, record: Any) -> None:
    log("cursor", record.from_source_iteration, record.to_source_iteration)


def ended(_backend: Any, _job_id: str, status: str, *_args: Any, **_keys: Any) -> None:
    if status == "succeeded":
        log("succeeded")


def log_disk(module: ModuleType) -> None:
    """Called once the backend is loaded, which is before anything is written."""
    after(os, "fsync", flushed)
    after(os, "replace", renamed)
    after(os, "link", linked)
    after(os, "mkdir", made)
    after(module.SQLAlchemyBackend, "create_destination_cursor", committed)
    after(module.SQLAlchemyBackend, "update_stream_job_status", ended)
