"""Locations of datasets and buckets: a job of one location sees nothing elsewhere."""

from bizon.common.errors.errors import DestinationConnectionError

_AREAS = {"us": "us", "nam4": "us", "eu": "europe", "eur": "europe", "asia": "asia", "asia1": "asia"}
"""Multi-regions and named dual-regions, with the prefix of their regions' names."""


def check_dataset(dataset: str, location: str | None, configured: str) -> None:
    """Raise DestinationConnectionError for a dataset that is not where ``dataset_location`` says."""
    if location is not None and location.lower() != configured.lower():
        raise DestinationConnectionError(
            f"bigquery: dataset '{dataset}' is in {location}, `dataset_location` says {configured}: BigQuery would not "
            f"find it there; set `dataset_location: {location}`, or use a dataset in {configured}"
        )


def check_bucket(bucket: str, location: str | None, configured: str) -> None:
    """Raise DestinationConnectionError for a bucket that a dataset cannot be loaded from. ``location``: None if
    unknown."""
    if location is not None and not loads_from(configured, location):
        raise DestinationConnectionError(
            f"bigquery: bucket '{bucket}' is in {location}, the dataset in {configured}: BigQuery does not load from "
            f"there; use a bucket in {configured} for `gcs_buffer_bucket`"
        )


def loads_from(dataset: str, bucket: str) -> bool:
    """Whether a dataset can be loaded from a bucket, as BigQuery documents: from the same region, from a larger area
    that contains it, in a larger area from any of its regions, and in US from everywhere."""
    dataset, bucket = dataset.lower(), bucket.lower()
    if dataset in ("us", bucket):
        return True
    both_are_regions = "-" in dataset and "-" in bucket
    return not both_are_regions and _area(dataset) == _area(bucket)


def _area(location: str) -> str:
    if location.startswith("eur") and "-" not in location:
        return "europe"  # EUR4 and the like
    return _AREAS.get(location, location.partition("-")[0])
