"""The source ``files`` with a SIGKILL inside, see ``killed.py``."""

from killed import Killed

from bizon.connectors.sources.files.src.source import FilesSource


class KilledFiles(Killed, FilesSource):
    pass
