"""The tables that a record may name: tables of the configured dataset, and tables that the configuration lists."""

import re
from typing import TYPE_CHECKING

from bizon.common.errors.errors import DestinationConnectionError

if TYPE_CHECKING:
    from bizon.connectors.destinations.bigquery.src.config import BigQueryFamilyDetails

_TABLE = re.compile(r"[\w-][\w -]*")
_LONGEST = 1024  # bytes of a table's name
_STAGING = ("_temp", "_incremental")


def named_by_record(destination_id: str, config: "BigQueryFamilyDetails", default: str) -> str:
    """``project.dataset.table`` for the ``destination_id`` of a record. Raises DestinationConnectionError for a name
    that is not a table's, leads elsewhere, or belongs to the staging table of the configured one, ``default``."""
    listed = {config.table_of(schema.destination_id) for schema in config.record_schemas or ()}
    if destination_id.count(".") <= 2 and config.table_of(destination_id) in listed | {default}:
        return config.table_of(destination_id)
    home = f"{config.project_id}.{config.dataset_id}."
    table = destination_id.removeprefix(home)
    if table == destination_id:
        table = destination_id.removeprefix(f"{config.dataset_id}.")
    if "." in table:
        raise DestinationConnectionError(f"a record may only name tables of the dataset '{home[:-1]}'")
    if not _TABLE.fullmatch(table) or len(table.encode()) > _LONGEST:
        raise DestinationConnectionError("is not a table's name: letters, digits, underscores and dashes")
    if f"{home}{table}" in {f"{default}{suffix}" for suffix in _STAGING}:
        raise DestinationConnectionError("is the name of a staging table")
    return f"{home}{table}"
