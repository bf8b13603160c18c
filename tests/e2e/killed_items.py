"""The custom source of the end-to-end tests with a SIGKILL inside, see ``killed.py``."""

from items_source import ItemsSource
from killed import Killed


class KilledItems(Killed, ItemsSource):
    pass
