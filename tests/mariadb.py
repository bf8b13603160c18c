"""MariaDB for tests: a new database on BIZON_TEST_MARIADB_URL, on the standard port, or on a server of the worker."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from getpass import getuser
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, unquote, urlsplit

import pymysql
import pytest
from servers import server_or_skip

PROGRAMS = ("mariadbd", "mariadb-install-db")
MEMORY = Path("/dev/shm")  # each DDL statement waits for the disk several times
STANDARD = {"host": "127.0.0.1", "port": 3306, "user": "root", "password": ""}


class MariaDb(NamedTuple):
    """A database of a server."""

    host: str
    port: int
    user: str
    password: str
    database: str

    @property
    def url(self) -> str:
        return self.url_of(self.user, self.password)

    def url_of(self, user: str, password: str, *, port: int | None = None) -> str:
        return f"mariadb://{quote(user, '')}:{quote(password, '')}@{self.host}:{port or self.port}/{self.database}"

    def connect(self) -> Any:
        """A connection that commits each statement."""
        return pymysql.connect(**self._asdict(), ssl_disabled=True, autocommit=True)

    def run(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with closing(self.connect()) as connection, connection.cursor() as cursor:
            cursor.execute(statement, values or None)
            return list(cursor.fetchall())


@pytest.fixture(scope="session")
def _mariadb_server() -> Iterator[dict[str, Any]]:
    url = os.environ.get("BIZON_TEST_MARIADB_URL")
    if url:
        parts = urlsplit(url)
        user, password = unquote(parts.username or "root"), unquote(parts.password or "")
        yield {"host": parts.hostname, "port": parts.port or 3306, "user": user, "password": password}
        return
    with suppress(pymysql.OperationalError):
        pymysql.connect(**STANDARD, ssl_disabled=True, connect_timeout=5).close()
        yield STANDARD
        return
    with private_server() as access:
        yield access


@pytest.fixture
def mariadb(_mariadb_server: dict[str, Any]) -> Iterator[MariaDb]:
    """An empty database for this test, dropped after it."""
    name = f"bizon_{uuid.uuid4().hex[:12]}"
    server = MariaDb(**_mariadb_server, database="information_schema")
    server.run(f"CREATE DATABASE {name}")
    yield server._replace(database=name)
    server.run(f"DROP DATABASE {name}")


@contextmanager
def private_server() -> Iterator[dict[str, Any]]:
    """Within: a server of this process, in memory where there is room; how to connect to it."""
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
