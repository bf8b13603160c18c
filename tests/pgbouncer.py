"""PgBouncer in transaction mode, in front of a server that requires a password."""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import psycopg
from ports import free_port
from postgres import BOUND, Place, end_with_parent, unprivileged
from servers import server_or_skip

SESSIONS = 2
"""Sessions of the server, which all clients share."""


@contextmanager
def pooled(place: Place) -> Iterator[Place]:
    """Within: the same place by way of the pooler. A transaction gets whichever session is free."""
    program = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin")
    if program is None:
        server_or_skip("pgbouncer", "it is not installed; its package is `pgbouncer` in Debian, Ubuntu and Homebrew")
    folder = Path(tempfile.mkdtemp(prefix="bizon-pgbouncer-"))
    through = replace(place, port=free_port())
    try:
        user = unprivileged()
        _configure(folder, place, through.port)
        if user is not None:
            for path in (folder, *folder.iterdir()):
                shutil.chown(path, user)
        log = (folder / "log").open("wb")
        with (
            log,
            subprocess.Popen(
                [program, str(folder / "pgbouncer.ini")], user=user, stdout=log, stderr=log, preexec_fn=end_with_parent
            ) as pooler,
        ):
            try:
                _wait(through, pooler, folder / "log")
                yield through
            finally:
                pooler.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _configure(folder: Path, place: Place, port: int) -> None:
    user, password = (text.replace('"', '""') for text in (place.username, place.password))
    (folder / "users").write_text(f'"{user}" "{password}"\n')
    settings = {
        "listen_addr": "127.0.0.1",
        "listen_port": port,
        "unix_socket_dir": "",
        "auth_type": "scram-sha-256",
        "auth_file": folder / "users",
        "pool_mode": "transaction",
        "default_pool_size": SESSIONS,
    }
    lines = "\n".join(f"{key} = {value}" for key, value in settings.items())
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\n* = host={place.host} port={place.port}\n[pgbouncer]\n{lines}\n"
    )


def _wait(through: Place, pooler: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + BOUND
    while True:
        with suppress(psycopg.OperationalError):
            return through.connect().close()
        assert pooler.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.02)
