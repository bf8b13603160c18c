"""The ``logger`` destination: each record becomes a log line."""

from typing import TYPE_CHECKING

import polars as pl
from loguru import logger

from bizon.destination.destination import AbstractDestination

if TYPE_CHECKING:
    from bizon.common.models import SyncMetadata
    from bizon.connectors.destinations.logger.src.config import LoggerDestinationConfig
    from bizon.engine.backend.backend import AbstractBackend
    from bizon.monitoring.monitor import AbstractMonitor
    from bizon.source.callback import AbstractSourceCallback


class LoggerDestination(AbstractDestination):
    """Logs every record at INFO as ``[<sync mode>] <record as JSON>``.

    At least once: a batch whose checkpoint was lost in a crash is logged again. Nothing is staged or published.
    """

    def __init__(
        self,
        sync_metadata: "SyncMetadata",
        config: "LoggerDestinationConfig",
        backend: "AbstractBackend",
        source_callback: "AbstractSourceCallback",
        monitor: "AbstractMonitor",
    ) -> None:
        super().__init__(
            sync_metadata=sync_metadata,
            config=config,
            backend=backend,
            source_callback=source_callback,
            monitor=monitor,
        )

    def refuses_members(self) -> str | None:
        """None: each process has a log."""
        return None

    def check_connection(self) -> bool:
        """Always true: the log is there."""
        return True

    def write_records(self, df_destination_records: pl.DataFrame) -> tuple[bool, str | None]:
        """Log one line per row."""
        mode = self.sync_metadata.sync_mode.value
        for text in df_destination_records["source_data"]:
            logger.info("[{}] {}", mode, text)
        return True, None

    def describe(self) -> str:
        """The log."""
        return "the log"
