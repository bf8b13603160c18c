"""The source ``sql`` with a SIGKILL inside, see ``killed.py``."""

from killed import Killed

from bizon.connectors.sources.sql.src.source import SqlSource


class KilledSql(Killed, SqlSource):
    pass
