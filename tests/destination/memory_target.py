"""A target in memory, the client of which is this module: rows by table, and whose each table is."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

Row = dict[str, Any]


@dataclass
class Owned:
    """The writer of a table: pipeline, job and fence of the latest start; and the job that published last."""

    owner: str | None = None
    job: str = ""
    fence: tuple[int, int] = (0, 0)
    published_by: str | None = None


@dataclass
class Contents:
    """Everything the target has. ``staged``: each row with job and last page of its batch."""

    published: dict[str, list[Row]] = field(default_factory=dict)
    staged: dict[str, list[tuple[int, str, Row]]] = field(default_factory=dict)
    owners: dict[str, Owned] = field(default_factory=dict)

    def copy(self) -> "Contents":
        """A copy; rows are shared, and never changed."""
        return Contents(
            {table: list(rows) for table, rows in self.published.items()},
            {table: list(rows) for table, rows in self.staged.items()},
            {table: replace(owned) for table, owned in self.owners.items()},
        )


CONTENTS = Contents()


def clear() -> None:
    CONTENTS.__init__()  # type: ignore[misc]


class Session:
    """Changes that are visible to all once they are committed."""

    def __init__(self) -> None:
        self.contents = CONTENTS.copy()

    def owner(self, table: str) -> Owned:
        return self.contents.owners.setdefault(table, Owned())

    def rows(self, table: str) -> list[Row]:
        return self.contents.published.get(table, [])

    def insert(self, table: str, rows: list[Row]) -> None:
        self.contents.published.setdefault(table, []).extend(rows)

    def truncate(self, table: str) -> None:
        self.contents.published[table] = []

    def staged(self, table: str) -> list[tuple[int, str, Row]]:
        return self.contents.staged.get(table, [])

    def stage(self, table: str, rows: list[tuple[int, str, Row]]) -> None:
        self.contents.staged[table] = rows

    def drop_staging(self, table: str) -> None:
        self.contents.staged.pop(table, None)

    def commit(self) -> None:
        CONTENTS.__dict__.update(self.contents.copy().__dict__)


@contextmanager
def transaction() -> Iterator[Session]:
    session = Session()
    yield session
    session.commit()
