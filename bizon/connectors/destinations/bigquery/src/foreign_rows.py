"""Refuses a table with rows that the pipeline did not write."""

from google.cloud import bigquery

from bizon.common.errors.errors import DestinationConnectionError
from bizon.connectors.destinations.bigquery.src.owner_labels import STAGING, OwnerLabels, rows_in


def check_final(table: bigquery.Table, labels: OwnerLabels, *, replaces: bool, adopt: bool) -> None:
    """Raise DestinationConnectionError for a final table with rows that this pipeline did not write. ``replaces``: the
    run would replace them."""
    name = f"{table.project}.{table.dataset_id}.{table.table_id}"
    if STAGING in table.labels:
        raise DestinationConnectionError(
            f"table '{name}' is a staging table of bizon ({table.description}): use another destination_id"
        )
    if adopt or rows_in(table) == 0:
        return
    others = labels.others(table)
    does = "replace" if replaces else "append to"
    if not labels.writes(table):
        whose = f"; another pipeline of bizon writes it (label {others[0]})" if others else ""
        raise DestinationConnectionError(
            f"table '{name}' has rows that {labels.owner} did not write{whose}: use another destination_id, or run "
            f"with --adopt to {does} them"
        )
    if replaces and others:
        raise DestinationConnectionError(
            f"table '{name}' has rows of another pipeline too (label {others[0]}), which a full refresh would remove: "
            f"use another destination_id, or run with --adopt to replace them"
        )
