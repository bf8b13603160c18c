"""A MariaDB server of these tests alone: its folder is in memory where there is one, since each DDL statement waits for
the disk several times."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from getpass import getuser
from pathlib import Path
from typing import Any

import pymysql
import pytest
from servers import server_or_skip

Execute = Callable[..., list[dict[str, Any]]]
PROGRAMS = ("mariadbd", "mariadb-install-db")
MEMORY = Path("/dev/shm")


@pytest.fixture(scope="session")
def server() -> Iterator[dict[str, Any]]:
    """How to connect to the server."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        server_or_skip("MariaDB", f"there is no {missing[0]}")
    with tempfile.TemporaryDirectory(dir=MEMORY if os.access(MEMORY, os.W_OK) else None) as name:
        folder = Path(name)
        common = ("--no-defaults", f"--datadir={folder / 'data'}", f"--user={getuser()}")
        install = ("mariadb-install-db", *common, "--auth-root-authentication-method=normal", "--skip-test-db")
        subprocess.run(install, check=True, capture_output=True)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        network = (f"--port={port}", "--bind-address=127.0.0.1", f"--socket={folder / 'socket'}")
        settings = ("--innodb-flush-log-at-trx-commit=2", "--innodb-fast-shutdown=2", f"--pid-file={folder / 'pid'}")
        with (
            (folder / "log").open("wb") as log,
            subprocess.Popen(("mariadbd", *common, *network, *settings), stdout=log, stderr=log) as process,
        ):
            try:
                access = {"host": "127.0.0.1", "port": port, "user": "root", "password": ""}
                until_it_answers(process, access)
                yield access
            finally:
                process.terminate()


def until_it_answers(process: "subprocess.Popen[bytes]", access: dict[str, Any]) -> None:
    for _ in range(600):
        assert process.poll() is None, "the server has ended"
        with suppress(pymysql.OperationalError):
            pymysql.connect(**access, ssl_disabled=True).close()
            return
        time.sleep(0.05)
    raise AssertionError("the server does not answer")


@pytest.fixture(scope="session")
def execute(server: dict[str, Any]) -> Iterator[Execute]:
    kind = pymysql.cursors.DictCursor
    with closing(pymysql.connect(**server, ssl_disabled=True, autocommit=True, cursorclass=kind)) as connection:

        def execute(statement: str, parameters: Any = None) -> list[dict[str, Any]]:
            with connection.cursor() as cursor:
                cursor.execute(statement, parameters)
                return list(cursor.fetchall())

        yield execute


@pytest.fixture
def database(execute: Execute) -> Iterator[str]:
    """The name of a new, empty database."""
    name = f"bizon_{uuid.uuid4().hex[:12]}"
    execute(f"CREATE DATABASE {name}")
    yield name
    execute(f"DROP DATABASE {name}")
