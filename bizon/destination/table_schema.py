"""The columns that a table has, those that a batch needs, and the difference. Pure: a connector reads the catalogue,
and turns a difference into DDL.

The table is the truth. Its connector makes a ``TableSchema`` from the catalogue when a run starts, and again after an
error. For each batch it calls ``typed`` (``typed.py``) with ``columns``, asks for the ``difference`` that ``unmet``
makes, applies that to the table, and continues with ``changed``. A batch without unmet evidence changes nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from bizon.destination.column_names import RESERVED, NameRefusedError, NameRules, folded
from bizon.destination.columns import Column
from bizon.destination.typed_config import SchemaMode
from bizon.destination.typed_engine import NO_LIMITS, EngineLimits

if TYPE_CHECKING:
    from bizon.destination.column_types import ColumnType
    from bizon.destination.evidence import Evidence
    from bizon.destination.leaves import Path


@dataclass(frozen=True)
class Difference:
    """The changes that a batch needs. ``add``: columns to add. ``widen``: columns with their new type, which holds
    every value of the old one. ``bind``: columns that the table has already, with the path of their values; no DDL.
    ``refused``: paths without a column and the reason, to warn of; their values are rescued."""

    add: tuple[Column, ...] = ()
    widen: tuple[Column, ...] = ()
    bind: tuple[Column, ...] = ()
    refused: "Mapping[Path, str]" = field(default_factory=dict)

    @property
    def needs_ddl(self) -> bool:
        """Whether the table changes."""
        return bool(self.add or self.widen)

    @property
    def is_empty(self) -> bool:
        """Whether the columns of the next call of ``typed`` are the same."""
        return not (self.needs_ddl or self.bind)


@dataclass(frozen=True)
class TableSchema:
    """Made by ``table_schema``. ``columns``: the columns whose path is known, for ``typed``. ``unbound``: other columns
    of the table, by name: each takes the values of the first key that has this name. ``declared``: names of columns
    that `record_schemas` declares; their type never changes. ``closed``: names of columns that take no values.
    ``limits``: of the engine."""

    columns: tuple[Column, ...]
    unbound: "Mapping[str, ColumnType]"
    rules: NameRules
    mode: SchemaMode
    declared: frozenset[str]
    most: int | None
    closed: frozenset[str] = frozenset()
    limits: EngineLimits = NO_LIMITS

    @property
    def is_strict(self) -> bool:
        """Whether records that do not fit are refused: the argument ``strict`` of ``typed``."""
        return self.mode is SchemaMode.STRICT and not self._is_new

    @property
    def _is_new(self) -> bool:
        return not self.columns and not self.unbound and not self.closed

    def missing(self, names: Iterable[str]) -> tuple[Column, ...]:
        """The columns that a table with only these names lacks: declared ones, before the first batch."""
        there = {*map(folded, names)}
        return tuple(column for column in self.columns if folded(column.name) not in there)

    def difference(self, unmet: "Mapping[Path, Evidence]") -> Difference:
        """The changes that make room for values that did not fit, as far as the mode allows. A table without any
        column takes the columns of its first batch in every mode.

        When the names of two keys differ only in case, the first in ``unmet`` becomes a column.
        """
        may_change = self.mode is SchemaMode.EVOLVE or self._is_new
        known = {column.path: column for column in self.columns}
        taken = {
            folded(name): name for name in (*(column.name for column in self.columns), *self.unbound, *self.closed)
        }
        unbound = dict(self.unbound)
        add: list[Column] = []
        widen: list[Column] = []
        bind: list[Column] = []
        refused: dict[Path, str] = {}
        for path, evidence in unmet.items():
            wanted = self.limits.new(evidence)
            if path in known:
                widen += self._widened(known[path], evidence) if may_change else []
            elif wanted is not None:
                try:
                    name = self.rules.name(path)
                    if name in unbound:
                        bind.append(Column(path, name, unbound.pop(name)))
                        continue
                    self._check(name, taken, may_change=may_change)
                except NameRefusedError as error:
                    refused[path] = str(error)
                    continue
                taken[folded(name)] = name
                add.append(Column(path, name, wanted))
        return Difference(tuple(add), tuple(widen), tuple(bind), refused)

    def changed(self, difference: Difference) -> "TableSchema":
        """The schema once the table has changed. A column that is bound may be too narrow for the batch: the next call
        of ``typed`` then has unmet evidence again."""
        wide = {column.path: column for column in difference.widen}
        kept = [wide.get(column.path, column) for column in self.columns]
        bound = {column.name for column in difference.bind}
        unbound = {name: kind for name, kind in self.unbound.items() if name not in bound}
        return replace(self, columns=(*kept, *difference.bind, *difference.add), unbound=unbound)

    def _widened(self, column: Column, evidence: "Evidence") -> list[Column]:
        wide = None if column.name in self.declared else self.limits.wider(column.type, evidence)
        return [] if wide is None else [column._replace(type=wide)]

    def _check(self, name: str, taken: Mapping[str, str], *, may_change: bool) -> None:
        """Raise NameRefusedError when the table cannot have a new column of this name."""
        if name in self.closed:
            raise NameRefusedError("the table has this column, of a type that bizon does not write")
        if folded(name) in taken:
            raise NameRefusedError(f"column '{taken[folded(name)]}' has this name, which is compared in any case")
        if not may_change:
            raise NameRefusedError(f"the table has no such column, and `schema_mode` is {self.mode}")
        if self.most is not None and len(taken) >= self.most:
            raise NameRefusedError(f"the table has {self.most} columns, the most that it may have")


def table_schema(
    there: "Mapping[str, ColumnType]",
    declared: "Mapping[str, ColumnType]",
    rules: NameRules,
    mode: SchemaMode = SchemaMode.EVOLVE,
    *,
    flatten: int = 0,
    most: int | None = None,
    closed: Iterable[str] = (),
    limits: EngineLimits | None = None,
) -> TableSchema:
    """The schema of a table with the columns ``there``, of which the reserved names do not count, and of the columns
    that `record_schemas` declares, by the key that they take. A column that is there keeps its type; a declared type
    wins over an inferred one. ``most``: columns that the table may have besides the reserved ones; None: any number.
    ``closed``: names of more columns that the table has, of types that are not in our vocabulary. ``limits``: of the
    engine."""
    left = {name: kind for name, kind in there.items() if not folded(name).startswith(RESERVED)}
    called = {folded(name): name for name in left}
    columns = []
    for key, kind in declared.items():
        name = called.get(folded(key), key)
        columns.append(Column((key,), name, left.pop(name, kind)))
    keys = {name: rules.key(name, flatten) for name in left}
    columns += [Column((key,), name, left.pop(name)) for name, key in keys.items() if key is not None]
    names = frozenset(column.name for column in columns[: len(declared)])
    return TableSchema(tuple(columns), left, rules, mode, names, most, frozenset(closed), limits or NO_LIMITS)
