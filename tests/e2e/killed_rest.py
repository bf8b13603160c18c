"""The rest source with a SIGKILL inside: ``KILL_AT=3`` kills the process in its third request for a page."""

import os
import signal
from typing import Any

from bizon.connectors.sources.rest.src.source import RestSource
from bizon.source.models import SourceIteration


class KilledRest(RestSource):
    count = 0

    def get(self, pagination: dict[str, Any] | None = None) -> SourceIteration:
        page = super().get(pagination)
        KilledRest.count += 1
        if os.environ.get("KILL_AT") == str(KilledRest.count):
            os.kill(os.getpid(), signal.SIGKILL)
        return page
