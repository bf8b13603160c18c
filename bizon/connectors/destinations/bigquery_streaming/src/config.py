"""Configuration of the ``bigquery_streaming`` destination."""

from typing import Literal

from pydantic import Field

from bizon.connectors.destinations.bigquery.src.config import BigQueryFamilyDetails
from bizon.destination.config import AbstractDestinationConfig, DestinationTypes


class BigQueryStreamingConfigDetails(BigQueryFamilyDetails):
    """Settings of the ``bigquery_streaming`` destination."""

    bq_max_rows_per_request: int = Field(default=5_000, ge=1, le=10_000, description="Most rows of one request.")


class BigQueryStreamingConfig(AbstractDestinationConfig):
    """``destination: {name: bigquery_streaming}``: rows are inserted into a BigQuery table one request at a time."""

    name: Literal[DestinationTypes.BIGQUERY_STREAMING] = Field(description="bigquery_streaming")
    alias: str = Field(default="bigquery", description="Name shown in logs and metrics.")
    config: BigQueryStreamingConfigDetails = Field(description="Settings.")
