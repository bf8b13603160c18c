"""The points at which a run dies or freezes; they are listed in ``crash_cli.py``.

CRASH_AT is ``POINT`` or ``POINT:N``, the Nth time the point is passed in one process. CRASH_GROUP is the process group
to kill; without it only the process that passes the point is killed. With CRASH_FREEZES it gets SIGSTOP instead, and
continues from the point once it gets SIGCONT.
"""

import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

FILE = "connectors.destinations.file.src"
STAGED = re.compile(r"(\d{10}-\d{10}-\d+-\d+|\d{6}(-sealed)?)\.[a-z]+")
SEALED = re.compile(r"\d{6}-sealed\.[a-z]+")
POINT, _, NTH = os.environ.get("CRASH_AT", "").partition(":")
FREEZES = bool(os.environ.get("CRASH_FREEZES"))
MOST_UNTIL_STOPPED = 0.3  # seconds; another thread may get the signal, and this one continues for a moment
_passed: dict[str, int] = {}


def stop_here() -> None:
    group = os.environ.get("CRASH_GROUP")
    if FREEZES:
        os.killpg(int(group or 0), signal.SIGSTOP)
        time.sleep(MOST_UNTIL_STOPPED)
        return
    if group:
        os.killpg(int(group), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def passing(point: str) -> None:
    """Count the point, and die when it is the one."""
    if point == POINT:
        _passed[point] = _passed.get(point, 0) + 1
        if _passed[point] == int(NTH or 1):
            stop_here()


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


def at(point: str) -> Callable[..., None]:
    """For ``around``: the point is passed."""
    return lambda *_args, **_keys: passing(point)


def patch_steps(destination: Any) -> None:
    around(destination, "prepare", at("before_prepare"), at("after_prepare"))
    around(destination, "write_records", None, at("after_write"))
    around(destination, "receipt", None, at("after_receipt"))
    around(destination, "verify", None, at("after_verify"))
    around(destination, "finalize", at("before_finalize"))


def patch_destination(module: ModuleType) -> None:
    patch_steps(module.FileDestination)


def patch_output(module: ModuleType) -> None:
    def marked(_output: Any, _found: Any, state: str) -> None:
        passing(f"after_{state}")

    around(module.Output, "claim", at("before_claim"), at("after_claim"))
    around(module.Output, "mark", None, marked)


def patch_presence(module: ModuleType) -> None:
    around(module.Presence, "_announce", None, at("after_announce"))


def patch_staging(module: ModuleType) -> None:
    around(module.FileStaging, "trim", None, at("after_trim"))
    around(module.FileStaging, "discard", None, at("after_discard"))


def patch_publish(module: ModuleType) -> None:
    around(module.Publisher, "_build", None, at("after_ready"))


def patch_journal(module: ModuleType) -> None:
    around(module.Journal, "trim", at("before_cut"), at("after_cut"))
    around(module.Journal, "_note", None, at("after_note"))
    around(module.Journal, "_extend", at("appending"))


def patch_streaming(module: ModuleType) -> None:
    around(module, "write_aside", None, at("part_written"))
    around(module.PartFolder, "trim", at("before_cut"), at("after_cut"))


def patch_backend(module: ModuleType) -> None:
    def before(_backend: Any, _job_id: str, status: str, *_: Any, **_keys: Any) -> None:
        if status == "succeeded":
            passing("before_success")

    def after(_backend: Any, _job_id: str, status: str, *_: Any, **_keys: Any) -> None:
        if status == "succeeded":
            passing("after_success")

    around(module.SQLAlchemyBackend, "create_destination_cursor", None, at("after_cursor"))
    around(module.SQLAlchemyBackend, "note_output", None, at("after_watermark"))
    around(module.SQLAlchemyBackend, "update_stream_job_status", before, after)


def patch_bigquery(module: ModuleType) -> None:
    around(module.BigQueryDestination, "write_records", None, at("after_write"))
    around(module.BigQueryDestination, "finalize", at("before_finalize"))
    around(module.BigQueryDestination, "_publish", None, at("after_publishing_job"))
    around(module.Objects, "write", None, at("after_upload"))
    around(module.Loads, "load", None, at("after_load"))
    around(module.ObjectStaging, "remove", at("removing"))


def patch_bigquery_v2(module: ModuleType) -> None:
    around(module.BigQueryStreamingV2Destination, "write_records", None, at("after_write"))
    around(module.BigQueryStreamingV2Destination, "finalize", at("before_finalize"))
    around(module.BigQueryStreamingV2Destination, "_publish", None, at("after_publishing_job"))
    around(module.MarkedStaging, "remove", at("removing"))
    around(module.TableWriter, "write", None, at("after_append"))


def patch_duckdb(module: ModuleType) -> None:
    around(module.Connection, "commit", at("before_commit"), at("after_commit"))


def patch_postgres(module: ModuleType) -> None:
    around(module.BoundConnection, "commit", at("before_commit"), at("after_commit"))


def patch_postgres_rows(module: ModuleType) -> None:
    around(module.PostgresDestination, "write_records", None, at("after_write"))


PATCHES: dict[str, Callable[[ModuleType], None]] = {
    f"{FILE}.destination": patch_destination,
    "connectors.destinations.postgres.src.destination": patch_postgres_rows,
    f"{FILE}.output": patch_output,
    f"{FILE}.presence": patch_presence,
    f"{FILE}.file_staging": patch_staging,
    f"{FILE}.publish": patch_publish,
    f"{FILE}.journal": patch_journal,
    f"{FILE}.streaming": patch_streaming,
    "connectors.destinations.bigquery.src.destination": patch_bigquery,
    "connectors.destinations.bigquery_streaming_v2.src.destination": patch_bigquery_v2,
    "connectors.destinations.duckdb.src.connection": patch_duckdb,
    "connectors.destinations.postgres.src.connection": patch_postgres,
    "destination.sql_table": lambda module: patch_steps(module.SqlTableDestination),
    "destination.part_files": lambda module: patch_steps(module.PartFilesDestination),
    "engine.backend.adapters.sqlalchemy.backend": patch_backend,
}


def is_ready(path: Any) -> bool:
    return Path(path).name.startswith("ready-")


def tear_ready(handle: int) -> None:
    """The output was being assembled and only half of it reached the disk."""
    if POINT == "ready_torn" and is_ready(os.readlink(f"/proc/self/fd/{handle}")):
        os.ftruncate(handle, os.fstat(handle).st_size // 2)
        passing("ready_torn")


def patch_os() -> None:
    """``random`` counts bizon's disk operations, and dies before the Nth."""
    published = [False]

    def before_replace(source: Any, _target: Any) -> None:
        passing("random")
        if is_ready(source):
            passing("before_replace")

    def after_replace(source: Any, target: Any) -> None:
        if is_ready(source):
            published[0] = True
            passing("after_replace")
        if SEALED.fullmatch(Path(target).name):
            passing("after_seal")

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
