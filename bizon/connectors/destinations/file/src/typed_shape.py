"""Rows of inferred columns: each file has a schema, which follows its records.

A column is where it was first: new ones come at the end, also in CSV. The columns that a file has are in its manifest,
those of staged rows in the receipts of their batches: each says what its batch has added or widened. So the columns of
a start are those of the batches that count.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import polars as pl

from bizon.common.errors.errors import RowsRejectedError
from bizon.common.safe_log import logger
from bizon.connectors.destinations.file.src.column_receipts import ColumnReceipts
from bizon.connectors.destinations.file.src.config import ColumnType as DeclaredType
from bizon.connectors.destinations.file.src.config import column_type as declared_type
from bizon.connectors.destinations.file.src.config import path_stem
from bizon.destination.column_names import RESERVED, NameRules, folded
from bizon.destination.columns import BOOLEAN, DATE, FLOAT64, INT64, JSON, TEXT, TIMESTAMP, ColumnType
from bizon.destination.table_schema import Difference, TableSchema, table_schema
from bizon.destination.typed import RESCUED, Typed, typed
from bizon.destination.typed_config import Naming, SchemaMode
from bizon.rows.frames import DESTINATION_SCHEMA

if TYPE_CHECKING:
    from bizon.connectors.destinations.file.src.config import FileDestinationDetailsConfig
    from bizon.destination.leaves import Path
    from bizon.destination.models import BatchRange

Columns = Mapping[str, ColumnType]
"""The columns of a file besides our own, in order."""
_LONGEST_KEY = 200  # characters shown in a warning
SYSTEM_COLUMNS = {f"_{name}": dtype for name, dtype in DESTINATION_SCHEMA.items() if name != "source_data"}
_DECLARED = {
    DeclaredType.STRING: TEXT,
    DeclaredType.INTEGER: INT64,
    DeclaredType.FLOAT: FLOAT64,
    DeclaredType.BOOLEAN: BOOLEAN,
    DeclaredType.DATE: DATE,
    DeclaredType.DATETIME: TIMESTAMP,
    DeclaredType.JSON: JSON,
}


@dataclass
class _File:
    """The schema of one file. ``columns``: all that it has, in order."""

    schema: TableSchema
    columns: dict[str, ColumnType]
    warned: set[str] = field(default_factory=set)


class TypedShape:
    """The typed rows of every file of a run. ``begin`` is called for a file before anything else."""

    def __init__(self, config: "FileDestinationDetailsConfig") -> None:
        self._config = config
        self._mode = config.schema_mode or SchemaMode.EVOLVE
        self._rules = NameRules(snake_case=config.naming is Naming.SNAKE_CASE)
        self._files: dict[str, _File] = {}
        self._receipts = ColumnReceipts({})
        self.rescued: dict[str, int] = {}

    def has_begun(self, destination_id: str) -> bool:
        """Whether the columns of a file are known."""
        return self._stem(destination_id) in self._files

    def begin(self, destination_id: str, there: Columns) -> None:
        """The columns that a file has when the run starts; with those of the rows that wait to be published."""
        declared = self._declared(destination_id)
        there = {name: kind for name, kind in there.items() if not folded(name).startswith(RESERVED)}
        schema = table_schema(there, declared, self._rules, self._mode, flatten=self._config.flatten)
        columns = {**there, **{column.name: column.type for column in schema.columns}}
        self._files[self._stem(destination_id)] = _File(schema, columns)
        self._receipts = ColumnReceipts(there)

    def begin_batch(self, batch: "BatchRange") -> None:
        """The next rows are those of these pages; they are staged."""
        self._receipts.begin(batch)

    def receipt(self, destination_id: str) -> dict[str, dict[str, str]]:
        """What the receipt of the last batch says of the columns."""
        return self._receipts.receipt(self.columns(destination_id))

    def columns(self, destination_id: str) -> dict[str, ColumnType]:
        """The columns of a file as of now."""
        return dict(self._files[self._stem(destination_id)].columns)

    def noted(self, destination_id: str) -> dict[str, str]:
        """:meth:`columns` as the manifest keeps them."""
        return {name: str(kind) for name, kind in self.columns(destination_id).items()}

    def empty(self, destination_id: str) -> pl.DataFrame:
        """No rows, with the columns of the file."""
        columns = self.columns(destination_id)
        types = {**SYSTEM_COLUMNS, RESCUED: pl.String(), **{name: kind.polars for name, kind in columns.items()}}
        return pl.DataFrame(schema=types)

    def shape(self, destination_id: str, frame: pl.DataFrame) -> pl.DataFrame:
        """The rows to write; ``rescued`` counts their values in the rescued column, by key.

        Raises RowsRejectedError for records that are no objects, and in schema mode strict for those that do not fit;
        the columns are the old ones then.
        """
        file = self._files[self._stem(destination_id)]
        texts, schema, refused = frame["source_data"], file.schema, dict["Path", str]()
        while True:
            found = typed(texts, schema.columns, self._config.flatten, strict=schema.is_strict)
            if found.faults:
                ids = frame["source_record_id"]
                raise RowsRejectedError(
                    {row: f"record '{ids[row]}' of '{destination_id}' {why}" for row, why in found.faults.items()}
                )
            difference = schema.difference(found.unmet)
            refused.update(difference.refused)
            if difference.is_empty:
                break
            schema = schema.changed(difference)
        file.schema = schema
        file.columns.update({column.name: column.type for column in schema.columns})
        self._note_rescued(file, destination_id, found, Difference(refused=refused))
        return self._rows(frame, found, file.columns)

    def _rows(self, frame: pl.DataFrame, found: Typed, columns: Columns) -> pl.DataFrame:
        own = frame.select(pl.col(name.removeprefix("_")).alias(name) for name in SYSTEM_COLUMNS)
        typed_columns = found.frame
        absent = [
            pl.Series(name, [None], dtype=kind.polars).new_from_index(0, frame.height)
            for name, kind in columns.items()
            if name not in typed_columns.columns
        ]
        rows = own.hstack(typed_columns.hstack(absent))
        return rows.select(*SYSTEM_COLUMNS, RESCUED, *columns)

    def _note_rescued(self, file: _File, destination_id: str, found: Typed, seen: Difference) -> None:
        self.rescued = {}
        for path, number in found.rescued.items():
            key = ".".join(path)
            self.rescued[key] = self.rescued.get(key, 0) + number
            if key not in file.warned:
                file.warned.add(key)
                why = seen.refused.get(path, "they do not fit the type of its column")
                logger.warning(f"values of {key[:_LONGEST_KEY]!r} in '{destination_id}' are kept in `{RESCUED}`: {why}")

    def _declared(self, destination_id: str) -> dict[str, ColumnType]:
        for schema in self._config.record_schemas or ():
            if self._stem(schema.destination_id) == self._stem(destination_id):
                return {column.name: _DECLARED[declared_type(column.type)] for column in schema.record_schema}
        return {}

    def _stem(self, destination_id: str) -> str:
        return path_stem(destination_id, self._config.format)
