"""Settings of destinations whose tables have typed columns. Imports nothing heavy."""

from collections.abc import Iterable, Sequence
from enum import StrEnum

from pydantic import Field, field_validator, model_validator

from bizon.destination.column_names import NameRules
from bizon.destination.column_types import column_type
from bizon.destination.config import AbstractDestinationDetailsConfig, DestinationColumn, RecordSchemaConfig

_MOST_DAYS = 36_500


class SchemaMode(StrEnum):
    """How a table follows its records. ``evolve``: it gets new and wider columns. ``freeze``: its columns stay, and
    what has no column is rescued. ``strict``: its columns stay, and a record that does not fit is refused."""

    EVOLVE = "evolve"
    FREEZE = "freeze"
    STRICT = "strict"


class RowWriteMode(StrEnum):
    """How rows meet the rows that a table has. ``append``: they are added. ``merge``: a row replaces the row with its
    key, unless that one is newer."""

    APPEND = "append"
    MERGE = "merge"


class Deletes(StrEnum):
    """How a merge treats records that their source marks as deleted: like others, with a mark in the column
    ``_bizon_deleted``, or by removing the row."""

    IGNORE = "ignore"
    FLAG = "flag"
    REMOVE = "remove"


class Naming(StrEnum):
    """How keys become names of columns."""

    KEEP = "keep"
    SNAKE_CASE = "snake_case"


class Verify(StrEnum):
    """The comparison before rows are published: none, the number of rows of each batch, or also every value."""

    NONE = "none"
    COUNTS = "counts"
    VALUES = "values"


class TypedRecordSchemaConfig(RecordSchemaConfig):
    """The declared columns of one table; other keys of its records get inferred columns."""

    @field_validator("record_schema")
    @classmethod
    def _columns_are_possible(cls, columns: list[DestinationColumn]) -> list[DestinationColumn]:
        seen = set()
        for column in columns:
            try:
                column_type(column.type)
                NameRules().name((column.name,))
            except ValueError as error:  # also a NameRefusedError
                raise ValueError(f"column '{column.name}': {error}") from None
            if column.name.casefold() in seen:
                raise ValueError(f"column '{column.name}' is listed twice; upper and lower case are the same")
            seen.add(column.name.casefold())
        return columns


def check_decimals(schemas: Sequence[TypedRecordSchemaConfig] | None, most: int, limit: str) -> None:
    """Raise ValueError for a declared decimal of more than ``most`` digits; ``limit`` says so in the words of the
    engine."""
    for schema in schemas or ():
        for column in schema.record_schema:
            if column_type(column.type).precision > most:
                raise ValueError(f"column '{column.name}': {limit}")


class InferringDetailsConfig(AbstractDestinationDetailsConfig):
    """Keys of a destination whose columns are declared, or inferred where `record_schemas` does not list all."""

    schema_mode: SchemaMode | None = Field(
        default=None,
        description="How inferred columns follow the records: evolve (default) = add and widen | freeze = keep the "
        "columns, rescue what has none | strict = keep the columns, refuse a record that does not fit. With "
        "`record_schemas`: declared columns win, others are inferred.",
    )
    flatten: int = Field(
        default=0, ge=0, le=10, description="Levels of nested objects that become columns, where columns are inferred."
    )
    naming: Naming = Field(
        default=Naming.KEEP,
        description="Names of inferred columns: keep = the keys | snake_case = OrderId is order_id.",
    )

    @property
    def infers(self) -> bool:
        """Whether the columns follow the records."""
        return self.unnest and (not self.record_schemas or self.schema_mode is not None)

    @property
    def mode(self) -> SchemaMode:
        """How inferred columns follow the records."""
        return self.schema_mode or SchemaMode.EVOLVE

    @property
    def has_snake_case(self) -> bool:
        """Whether inferred columns are named in snake case."""
        return self.naming is Naming.SNAKE_CASE

    @model_validator(mode="after")
    def _unnest_needs_schemas(self) -> "InferringDetailsConfig":
        """Unlike elsewhere, it needs none: the columns are inferred."""
        return self

    @model_validator(mode="after")
    def _keys_are_used(self) -> "InferringDetailsConfig":
        given = {"schema_mode", "flatten", "naming"} & self.model_fields_set
        if given and not self.infers:
            raise ValueError(f"`{min(given)}` is for inferred columns: set `unnest: true`, without `record_schemas`")
        return self


class TypedTableDetailsConfig(AbstractDestinationDetailsConfig):
    """``destination.config`` of a destination with typed tables. A connector extends it with its own keys."""

    unnest: bool = Field(
        default=True,
        description="true = a column for each key of the records | false = six columns, the record as JSON in "
        "`source_data`.",
    )
    record_schemas: Sequence[TypedRecordSchemaConfig] | None = Field(
        default=None, description="Columns per table that are declared: their type wins over the inferred one."
    )
    write_mode: RowWriteMode = Field(
        default=RowWriteMode.APPEND,
        description="append = add the rows | merge = replace rows with the same `primary_key`.",
    )
    primary_key: list[str] | None = Field(
        default=None,
        min_length=1,
        description="Keys of a record that identify its row, for `write_mode: merge`; default the id of the record.",
    )
    version: str | None = Field(
        default=None,
        min_length=1,
        description="Key of a record, for `write_mode: merge`: the row with the largest value wins; default "
        "`cursor_field` of the source, else the row that arrived last.",
    )
    deletes: Deletes = Field(
        default=Deletes.IGNORE,
        description="Rows of deleted records, for `write_mode: merge`: ignore = like others | flag = true in "
        "`_bizon_deleted` | remove = removed.",
    )
    deleted_field: str | None = Field(
        default=None,
        min_length=1,
        description="Key that marks a record as deleted, for `deletes`: any value but null, false, 0 and their text.",
    )
    tombstone_days: int = Field(
        default=90,
        ge=0,
        le=_MOST_DAYS,
        description="Days for which `deletes: remove` remembers the keys of removed rows, so that an older row that "
        "arrives late does not come back; 0 = not at all.",
    )
    schema_mode: SchemaMode = Field(
        default=SchemaMode.EVOLVE,
        description="evolve = the table gets new and wider columns | freeze = its columns stay, the rest goes to "
        "`_bizon_rescued` | strict = its columns stay, a record that does not fit follows `on_error`.",
    )
    flatten: int = Field(default=0, ge=0, le=10, description="Levels of nested objects that become columns.")
    naming: Naming = Field(
        default=Naming.KEEP, description="keep = columns are named like their keys | snake_case = OrderId is order_id."
    )
    verify: Verify = Field(
        default=Verify.COUNTS,
        description="Compared with staging before rows are published: none | counts = the rows of each batch | values "
        "= also their values.",
    )

    @model_validator(mode="after")
    def _unnest_needs_schemas(self) -> "TypedTableDetailsConfig":
        """Replaces the rule of destinations whose columns are all declared."""
        return self

    @model_validator(mode="after")
    def _keys_fit_together(self) -> "TypedTableDetailsConfig":
        given = self.model_fields_set
        columns = [name for name in _OF_COLUMNS if name in given and getattr(self, name) != _DEFAULT[name]]
        if not self.unnest and columns:
            raise ValueError(f"`{columns[0]}` needs columns: remove it, or remove `unnest: false`")
        merged = [name for name in _OF_MERGE if name in given and getattr(self, name) != _DEFAULT[name]]
        if self.write_mode is not RowWriteMode.MERGE and merged:
            raise ValueError(f"`{merged[0]}` is for `write_mode: merge`")
        if (self.deletes is Deletes.IGNORE) != (self.deleted_field is None):
            raise ValueError("`deletes: flag` and `remove` need `deleted_field`, and it needs one of them")
        if self.deletes is not Deletes.REMOVE and self.tombstone_days != _DEFAULT["tombstone_days"]:
            raise ValueError("`tombstone_days` is for `deletes: remove`")
        twice = _first_twice(schema.destination_id for schema in self.record_schemas or ())
        if twice is not None:
            raise ValueError(f"`record_schemas` has more than one entry for destination_id '{twice}'")
        twice = _first_twice(self.primary_key or ())
        if twice is not None:
            raise ValueError(f"`primary_key` names '{twice}' twice")
        return self

    @model_validator(mode="after")
    def _keys_have_columns(self) -> "TypedTableDetailsConfig":
        for key in (*(self.primary_key or ()), *filter(None, (self.version,))):
            try:
                NameRules().name((key,))
            except ValueError as error:  # also a NameRefusedError
                raise ValueError(f"rows cannot be compared by '{key}': {error}") from None
        return self

    @property
    def is_merged(self) -> bool:
        """Whether rows replace the rows with their key."""
        return self.write_mode is RowWriteMode.MERGE


_OF_MERGE = ("primary_key", "version", "deletes", "deleted_field", "tombstone_days")
_OF_COLUMNS = ("record_schemas", "write_mode", *_OF_MERGE, "schema_mode", "flatten", "naming")
_DEFAULT = {name: field.default for name, field in TypedTableDetailsConfig.model_fields.items()}


def _first_twice(names: Iterable[str]) -> str | None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None
