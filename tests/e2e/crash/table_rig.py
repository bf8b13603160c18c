"""Shared by the crash tests of destinations with tables: what a table may hold after a kill, and after the end."""

from abc import abstractmethod

from e2e.crash.crash_kit import Rig, Row


class TableRig(Rig):
    """A pipeline into a table."""

    @abstractmethod
    def tables(self) -> list[str]:
        """The names of all tables, sorted."""


def check_between(rig: TableRig, old: list[Row] | None) -> None:
    """After a kill: the old table or the new one; a stream has some of the new rows, each once."""
    found = rig.rows() or []
    if not rig.is_stream:
        assert found in (old, rig.expected())
    else:
        assert len(set(found)) == len(found)
        assert set(old or []) <= set(found) <= set(rig.expected())


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
