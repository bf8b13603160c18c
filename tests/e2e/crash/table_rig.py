"""Shared by the crash tests of destinations with tables: what a table may hold after a kill, and after the end."""

from abc import abstractmethod

from e2e.crash.crash_kit import MODES, STREAMED, Rig, Row

KILLED = [*((mode, "append") for mode in (*MODES, STREAMED)), (MODES[1], "merge"), (STREAMED, "merge")]
"""Sync mode and write mode of runs that are killed at random."""

BATCH = 3
"""Rows of a page, and so of a micro-batch."""


class TableRig(Rig):
    """A pipeline into a table."""

    @property
    def is_merged(self) -> bool:
        """Whether an item replaces the one with its id."""
        return self.destination.get("primary_key") == ["id"]

    def expected(self, pages: int = 4, size: int = 3) -> list[Row]:
        """As for a file, but only the last version of merged items."""
        rows = super().expected(pages, size)
        return sorted(dict(rows).items()) if self.is_merged else rows

    def merge_by_id(self) -> None:
        """From now on an item replaces the one with its id."""
        self.destination |= {"write_mode": "merge", "primary_key": ["id"], "version": "version"}

    @abstractmethod
    def tables(self) -> list[str]:
        """The names of all tables, sorted."""


def check_between(rig: TableRig, old: list[Row] | None) -> None:
    """After a kill: the old table or the new one; a stream has some of the new rows, each once. A
    start that was killed may have taken back the batch of the one before it, which had no checkpoint."""
    found = rig.rows() or []
    if rig.is_merged and rig.is_stream:
        assert [id_ for id_, _ in found] == [id_ for id_, _ in rig.expected()]
        assert set(found) <= {*(old or []), *rig.expected()}
    elif not rig.is_stream:
        assert found in (old, rig.expected())
    else:
        assert len(set(found)) == len(found)
        assert set(found) <= set(rig.expected())
        assert len(set(old or []) - set(found)) <= BATCH, "a start takes back one batch without a checkpoint at most"


def finish(rig: TableRig, most_runs: int) -> None:
    """Run until one succeeds, and check the table and what is left."""
    codes: list[int] = []
    while not codes or codes[-1] != 0:
        assert len(codes) < most_runs, f"{codes}\n{rig.log()}"
        codes.append(rig.run())
    assert rig.rows() == rig.expected()
    kept = ["_bizon_commits"] if rig.is_stream else []
    assert rig.tables() == [*kept, "_bizon_outputs", "items"]
    assert "Traceback" not in rig.log()
