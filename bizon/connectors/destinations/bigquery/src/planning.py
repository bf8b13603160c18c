"""The limits of BigQuery, for the kit of typed tables: names of columns, sizes of decimals, JSON."""

from typing import TYPE_CHECKING

from bizon.connectors.destinations.bigquery.src.inferred_types import DECIMALS, declared_types
from bizon.connectors.destinations.bigquery.src.json_limits import json_misfits
from bizon.destination.column_names import NameRules
from bizon.destination.typed_batch import Planner
from bizon.destination.typed_engine import EngineLimits

if TYPE_CHECKING:
    from bizon.connectors.destinations.bigquery.src.config import BigQueryFamilyDetails

_RESERVED = (
    *("_table_", "_file_", "_partition", "_row_timestamp", "__root__", "_colidentifier"),
    *("_change_sequence_number", "_change_type", "_change_timestamp"),
)
_LONGEST = 300  # characters
_MOST_COLUMNS = 9_900  # of 10,000, a few of which are ours
NAMES = NameRules(_LONGEST, "characters", plain=True, reserved=_RESERVED)
"""The names that BigQuery takes for columns. It also has flexible names, which load jobs and Storage Write take in ways
of their own; these are the ones that work everywhere."""
_SNAKE_CASE = NameRules(_LONGEST, "characters", snake_case=True, plain=True, reserved=_RESERVED)


def planner_of(config: "BigQueryFamilyDetails") -> Planner:
    """Plans the batches of a run. Tables are named by their full ids."""
    declared = {
        config.table_of(schema.destination_id): declared_types(schema.record_schema)
        for schema in config.record_schemas or ()
    }
    rules = _SNAKE_CASE if config.has_snake_case else NAMES
    limits = EngineLimits(DECIMALS, json_misfits)
    return Planner(rules, config.mode, config.flatten, _MOST_COLUMNS, declared, limits)
