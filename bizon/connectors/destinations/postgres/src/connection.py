"""The connection to Postgres: every wait has a bound, and each transaction brings its own settings."""

from collections.abc import Generator
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
from psycopg.pq import TransactionStatus

if TYPE_CHECKING:
    from bizon.connectors.destinations.postgres.src.config import PostgresDetailsConfig

_SILENCE = 30  # seconds without traffic before the client checks that the server is still there
_PROBE_AFTER, _PROBE_EVERY = 10, 2  # seconds of silence after which the server asks whether the client is still there
_UNHEARD = 25  # seconds after which the server gives up a client that confirms nothing; less than a wait for a lock
"""A host that vanishes in the middle of a transaction leaves its locks behind. By default the server would ask after
two hours of silence, and send an answer again and again for a quarter of an hour."""
_GRACE = 10  # seconds after its time limit in which a server must have answered that it is over
_SETTINGS = f"""
SELECT set_config('search_path', %s, true),
    set_config('tcp_keepalives_idle', '{_PROBE_AFTER}', true),
    set_config('tcp_keepalives_interval', '{_PROBE_EVERY}', true),
    set_config('tcp_user_timeout', CASE WHEN version() LIKE '%%linux%%' THEN '{_UNHEARD}s' ELSE '0' END, true),
    set_config('lock_timeout', %s, true),
    set_config('statement_timeout', %s, true),
    set_config('idle_in_transaction_session_timeout', %s, true),
    set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on'
        ELSE current_setting('synchronous_commit') END, true),
    set_config('TimeZone', 'UTC', true),
    set_config('DateStyle', 'ISO', true),
    set_config('extra_float_digits', '1', true),
    set_config('bytea_output', 'hex', true),
    set_config('standard_conforming_strings', 'on', true)
"""
_Answer = TypeVar("_Answer")


class BoundConnection(psycopg.Connection[tuple[Any, ...]]):
    """A connection whose statements end. Its transactions have their settings themselves, not the session, so that a
    pooler may stand in between."""

    settings: tuple[str, ...] = ()
    """The values of ``_SETTINGS``; none while it connects."""
    patience: float = _GRACE
    """Seconds to wait for an answer."""

    def cursor(self, *args: Any, **kwargs: Any) -> Any:
        """A cursor; the first one of a transaction applies the settings."""
        made = super().cursor(*args, **kwargs)
        if self.settings and self.info.transaction_status == TransactionStatus.IDLE:
            made.execute(_SETTINGS, self.settings)
        return made

    def wait(self, gen: "Generator[Any, Any, _Answer]", *args: Any, **more: Any) -> _Answer:
        """Wait for an answer. Raises OperationalError when the server is silent for longer than any statement may take:
        the network, or something within it, has swallowed the answer."""
        return super().wait(_bounded(gen, self.patience), *args, **more)


def connect(config: "PostgresDetailsConfig") -> BoundConnection:
    """A new connection. Raises psycopg.OperationalError, never with the password in it."""
    tls = {name: getattr(config, name) for name in ("sslmode", "sslrootcert", "sslcert", "sslkey")}
    connection = BoundConnection.connect(
        host=config.host,
        port=config.port,
        user=config.username,
        password=str(config.password) or None,
        dbname=config.database,
        application_name="bizon",
        client_encoding="UTF8",
        connect_timeout=config.connect_timeout,
        keepalives=1,
        keepalives_idle=_SILENCE,
        keepalives_interval=5,
        keepalives_count=3,
        tcp_user_timeout=_SILENCE * 1000,
        prepare_threshold=None,  # a pooler gives each transaction another session
        **{name: value for name, value in tls.items() if value is not None},
    )
    connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED  # whatever the default of the role is
    connection.read_only = False
    quoted = '"' + config.schema_name.replace('"', '""') + '"'
    times = (config.lock_timeout, config.statement_timeout, config.idle_timeout)
    connection.settings = (quoted, *(f"{seconds}s" for seconds in times))
    connection.patience = config.statement_timeout + _GRACE
    return connection


def _bounded(gen: "Generator[Any, Any, _Answer]", patience: float) -> "Generator[Any, Any, _Answer]":
    until, ready = monotonic() + patience, None
    while True:
        try:
            wanted = gen.send(ready)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]  # the generator of the driver has this type
        ready = yield wanted
        if not ready and monotonic() >= until:
            gen.close()
            raise psycopg.OperationalError(f"the server has not answered for {patience:g} s")
