"""The ``postgres`` destination over TLS, and by way of a pooler that gives each transaction another session."""

import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pooler
import pytest
from connectors.destinations.postgres.kit import block, load
from connectors.destinations.table_kit import MODES, page, pipeline
from pooler import SESSIONS
from poolers import POOLED, POOLERS
from postgres import Place, PrivateServer
from servers import server_or_skip

from bizon.common.errors.errors import DestinationConnectionError
from bizon.source.config import SourceSyncModes

HOST = "localhost"
"""The name in the certificate."""


@pytest.fixture(scope="session")
def authorities(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the certificates ``ours.crt`` and ``other.crt`` of two authorities, and ``server.crt``, which the
    first one has signed."""
    folder = tmp_path_factory.mktemp("authorities")
    for name in ("ours", "other"):
        certify(folder, name, f"/CN={name}")
    signed = ["-CA", "ours.crt", "-CAkey", "ours.key", "-addext", f"subjectAltName=DNS:{HOST}"]
    certify(folder, "server", f"/CN={HOST}", *signed)
    return folder


def certify(folder: Path, name: str, subject: str, *more: str) -> None:
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{name}.key"]
    command = ["openssl", "req", "-x509", "-days", "2", "-subj", subject, *key, "-out", f"{name}.crt", *more]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


@pytest.fixture
def encrypted(private_postgres: PrivateServer, authorities: Path) -> Iterator[Place]:
    """A place on a server with TLS."""
    if private_postgres.place.rows("SHOW ssl_library") == [("",)]:
        server_or_skip("Postgres with TLS", "this server was built without it")
    certificate, key = (private_postgres.give(authorities / f"server.{end}") for end in ("crt", "key"))
    private_postgres.stop()
    try:
        private_postgres.start(ssl="on", ssl_cert_file=certificate, ssl_key_file=key)
        yield replace(private_postgres.place, host=HOST)
    finally:
        private_postgres.stop()
        private_postgres.start()


def test_a_certificate_is_verified(encrypted: Place, authorities: Path) -> None:
    load(encrypted, MODES[0], page({"id": 1}), sslmode="verify-full", sslrootcert=str(authorities / "ours.crt"))
    assert encrypted.rows("SELECT id FROM items") == [(1,)]


FAULTS = {
    "authority": (
        {"sslrootcert": "other.crt"},
        r"certificate verify failed: .* not signed by an authority of `sslrootcert`, which is .*other\.crt. Name the",
    ),
    "file": (
        {"sslrootcert": "missing.crt"},
        r'root certificate file ".*missing\.crt" does not exist.*; name the file with `sslrootcert`, or `system`',
    ),
    "host": (
        {"sslrootcert": "ours.crt", "host": "127.0.0.1"},
        r'"localhost".* does not match host name "127\.0\.0\.1"; set `host` to a name in the certificate',
    ),
}


@pytest.mark.parametrize(("wrong", "text"), FAULTS.values(), ids=FAULTS)
def test_a_certificate_that_does_not_fit_is_refused_with_the_remedy(
    encrypted: Place, authorities: Path, wrong: dict[str, str], text: str
) -> None:
    more = {**wrong, "sslmode": "verify-full", "sslrootcert": str(authorities / wrong["sslrootcert"])}
    with pytest.raises(DestinationConnectionError, match=text):
        load(encrypted, MODES[0], page({"id": 1}), **more)
    assert encrypted.rows("SELECT to_regclass('items')") == [(None,)]


LOCKS = """
SELECT FROM pg_locks l LEFT JOIN pg_class c ON c.oid = l.relation
WHERE locktype = 'advisory' OR c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema())
"""


@pytest.fixture(params=POOLERS)
def pool(private_postgres: PrivateServer, request: pytest.FixtureRequest) -> Iterator[Place]:
    with POOLED[request.param](private_postgres.place) as through:
        yield through


def test_the_pooler_of_the_tests_gives_each_transaction_another_session(private_postgres: PrivateServer) -> None:
    """Else the tests below would prove nothing."""
    with pooler.pooled(private_postgres.place) as through, closing(through.connect()) as client:
        sessions = [client.execute("SELECT pg_backend_pid()").fetchone() for _ in range(SESSIONS * 2)]
        client.execute("BEGIN")
        within = {client.execute("SELECT pg_backend_pid()").fetchone() for _ in range(3)}
    assert len({*sessions[:SESSIONS]}) == SESSIONS
    assert sessions[:SESSIONS] == sessions[SESSIONS:]
    assert len(within) == 1


@pytest.mark.parametrize("write_mode", ["append", "merge"])
def test_pipelines_share_the_sessions_of_a_pooler(
    pool: Place, private_postgres: PrivateServer, write_mode: str
) -> None:
    """There are more of them than sessions, so that each transaction may get another session."""
    failures: list[BaseException] = []

    def run(number: int, mode: SourceSyncModes) -> None:
        try:
            for value in range(2):
                config = block(pool, destination_id=f"t{number}", write_mode=write_mode, verify="values")
                with pipeline(config, mode, f"p{number}") as into:
                    into.has_history = True
                    into.load(page({"id": 1, "n": value}), page({"id": 2, "n": "100%", f"k{value}": "2024-01-01"}))
        except BaseException as error:
            failures.append(error)

    runs = [threading.Thread(target=run, args=(number, MODES[number % 3])) for number in range(SESSIONS * 3)]
    for thread in runs:
        thread.start()
    for thread in runs:
        thread.join()
    assert not failures
    for number in range(len(runs)):
        rows = 4 if write_mode == "append" and MODES[number % 3] is not MODES[0] else 2
        assert private_postgres.place.rows(f"SELECT count(*), max(n) FROM t{number}") == [(rows, 1)]
    assert private_postgres.place.rows(LOCKS) == [], "no session of the pool keeps a lock"
