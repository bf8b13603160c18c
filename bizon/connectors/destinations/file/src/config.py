"""Configuration of the ``file`` destination."""

from enum import StrEnum
from typing import Literal

from pydantic import Field

from bizon.destination.config import AbstractDestinationConfig, AbstractDestinationDetailsConfig, DestinationTypes


class FileFormat(StrEnum):
    """How rows are written."""

    JSON = "json"
    PARQUET = "parquet"


class FileDestinationDetailsConfig(AbstractDestinationDetailsConfig):
    """Settings of the ``file`` destination. ``destination_id`` is the path without the extension."""

    format: FileFormat = Field(
        default=FileFormat.JSON, description="json = one JSON object per line (NDJSON) | parquet."
    )


class FileDestinationConfig(AbstractDestinationConfig):
    """``destination: {name: file}``: rows go to a file beside its checkpointed staging."""

    name: Literal[DestinationTypes.FILE] = Field(description="file")
    alias: str = Field(default="file", description="Name shown in logs and metrics.")
    config: FileDestinationDetailsConfig = Field(
        default_factory=FileDestinationDetailsConfig, description="Settings; all have defaults."
    )
