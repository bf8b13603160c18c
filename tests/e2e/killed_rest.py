"""The source ``rest`` with a SIGKILL inside, see ``killed.py``."""

from killed import Killed

from bizon.connectors.sources.rest.src.source import RestSource


class KilledRest(Killed, RestSource):
    pass
