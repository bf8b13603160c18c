"""Configuration of the ``logger`` destination."""

from typing import Literal

from pydantic import Field

from bizon.destination.config import AbstractDestinationConfig, AbstractDestinationDetailsConfig, DestinationTypes


class LoggerDestinationConfig(AbstractDestinationDetailsConfig):
    """Settings of the ``logger`` destination. It needs none."""

    def places(self, usual: str) -> dict[str, str]:
        """Lines of the log, which all streams may write."""
        return {}

    dummy: str | None = Field(default="bizon", description="Has no effect; accepted for older configs.")


class LoggerConfig(AbstractDestinationConfig):
    """``destination: {name: logger}``: each record becomes a log line."""

    name: Literal[DestinationTypes.LOGGER] = Field(description="logger")
    alias: str = Field(default="logger", description="Name shown in logs and metrics.")
    config: LoggerDestinationConfig = Field(
        default_factory=LoggerDestinationConfig, description="Settings; all have defaults."
    )
