"""The rest source with a SIGKILL inside, see ``killed.py``."""

from typing import Any

from killed import page_is_read

from bizon.connectors.sources.rest.src.source import RestSource
from bizon.source.models import SourceIncrementalState, SourceIteration


class KilledRest(RestSource):
    def get(self, pagination: dict[str, Any] | None = None) -> SourceIteration:
        page = super().get(pagination)
        page_is_read()
        return page

    def get_records_after(
        self, source_state: SourceIncrementalState, pagination: dict[str, Any] | None = None
    ) -> SourceIteration:
        page = super().get_records_after(source_state, pagination)
        page_is_read()
        return page
