"""Configuration of the ``bigquery_streaming_v2`` destination."""

from typing import Literal

from pydantic import Field

from bizon.connectors.destinations.bigquery.src.config import StagingDetails
from bizon.destination.config import AbstractDestinationConfig, DestinationTypes


class BigQueryStreamingV2ConfigDetails(StagingDetails):
    """Settings of the ``bigquery_streaming_v2`` destination."""

    request_size: float = Field(
        default=9.0, gt=0, le=9.5, description="Most MB of one append request; an emulator may take less."
    )
    bq_max_rows_per_request: int | None = Field(
        default=None, ge=1, le=10_000, description="Most rows of one append request; null = as many as fit."
    )
    use_offsets: bool = Field(
        default=False,
        description="In sync mode stream: append to a stream of this run alone, where a repeated request is not "
        "written twice; false = the default stream of the table, which is cheaper to open.",
    )


class BigQueryStreamingV2Config(AbstractDestinationConfig):
    """``destination: {name: bigquery_streaming_v2}``: the Storage Write API appends rows to a BigQuery table."""

    name: Literal[DestinationTypes.BIGQUERY_STREAMING_V2] = Field(description="bigquery_streaming_v2")
    alias: str = Field(default="bigquery", description="Name shown in logs and metrics.")
    config: BigQueryStreamingV2ConfigDetails = Field(description="Settings.")
