"""Configuration of the ``bigquery_streaming_v2`` destination."""

from typing import Literal

from pydantic import Field

from bizon.connectors.destinations.bigquery.src.config import StagingDetails
from bizon.destination.config import AbstractDestinationConfig, DestinationTypes


class BigQueryStreamingV2ConfigDetails(StagingDetails):
    """Settings of the ``bigquery_streaming_v2`` destination."""

    request_size: float = Field(
        default=9.0, gt=0, le=9.5, description="MB of one append request, at most; an emulator may take less."
    )
    bq_max_rows_per_request: int | None = Field(
        default=None, ge=1, le=10_000, description="Rows of one append request, at most; null = as many as fit."
    )
    use_offsets: bool = Field(
        default=False,
        description="In sync mode stream: append to a stream of this run's own, where a request that is repeated is "
        "not written twice; false = the default stream of the table, which is cheaper to open.",
    )


class BigQueryStreamingV2Config(AbstractDestinationConfig):
    """``destination: {name: bigquery_streaming_v2}``: rows go to a BigQuery table by the Storage Write API."""

    name: Literal[DestinationTypes.BIGQUERY_STREAMING_V2] = Field(description="bigquery_streaming_v2")
    alias: str = Field(default="bigquery", description="Name shown in logs and metrics.")
    config: BigQueryStreamingV2ConfigDetails = Field(description="Settings.")
