"""The records that a run reads, as conditions on the cursor."""

from typing import TYPE_CHECKING, Any, NamedTuple

import sqlalchemy as sa

from bizon.connectors.sources.sql.src import checks
from bizon.connectors.sources.sql.src.config import NullCursor
from bizon.connectors.sources.sql.src.windows import Window, Windows

if TYPE_CHECKING:
    from bizon.connectors.sources.sql.src.config import SqlSourceConfig
    from bizon.connectors.sources.sql.src.flavour import Flavour
    from bizon.connectors.sources.sql.src.relation import Relation
    from bizon.source.models import SourceIncrementalState

Condition = sa.ColumnElement[bool]


class Scoped(NamedTuple):
    """Conditions of a run; None = all records. ``as_json``: the window, for a checkpoint. ``next_state``: for the next
    run."""

    everything: Condition | None = None
    without_cursor: Condition | None = None
    changed: Condition | None = None
    as_json: dict[str, Any] | None = None
    next_state: dict[str, Any] | None = None


class RunScope:
    """The settings about the cursor. Without one, a run reads everything."""

    def __init__(self, config: "SqlSourceConfig", flavour: "Flavour", relation: "Relation") -> None:
        self._flavour = flavour
        self._relation = relation
        self._nulls = config.null_cursor
        self._windows = None
        if relation.cursor is not None:
            unit = config.cursor_resolution
            self._windows = Windows(flavour, relation, relation.cursor, config.overlap, unit)

    @property
    def includes_nulls(self) -> bool:
        """Whether records without a cursor are read."""
        return self._nulls is NullCursor.INCLUDE

    def opened(self, connection: "sa.Connection", state: "SourceIncrementalState | None") -> Scoped:
        """The scope of a job that starts now. Raises SourceFetchError."""
        if self._windows is None or self._relation.cursor is None:
            return Scoped()
        if self._nulls is NullCursor.FAIL:
            checks.no_null_cursor(connection, self._flavour, self._relation, self._relation.cursor)
        return self._of(self._windows.opened(connection, state))

    def restored(self, window: dict[str, Any] | None) -> Scoped:
        """The scope of a checkpoint."""
        return Scoped() if window is None else self._of(Window.from_json(window))

    def _of(self, window: Window) -> Scoped:
        if self._windows is None or self._relation.cursor is None:
            return Scoped()
        changed = window.condition(self._flavour, self._relation.cursor)
        is_null = self._flavour.is_null(self._relation.cursor)
        return Scoped(
            everything=sa.or_(changed, is_null) if self.includes_nulls else changed,
            without_cursor=is_null,
            changed=changed,
            as_json=window.as_json(),
            next_state=self._windows.state_after(window),
        )
