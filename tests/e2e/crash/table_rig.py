"""Shared by the crash tests of destinations with tables: what a table may hold after a kill, and after the end."""

from abc import abstractmethod

from e2e.crash.crash_kit import MODES, STREAMED, Rig, Row

REMOVING = "merge and remove"
KILLED = [(mode, how) for how in ("append", "merge", REMOVING) for mode in (*MODES, STREAMED)]
"""Sync mode of runs that are killed at random, and how rows meet the rows that the table has."""

BATCH = 3
"""Rows of a page, and so of a micro-batch."""
REMOVED = 4
"""Items whose number and version have a sum that this divides are removed."""


class TableRig(Rig):
    """A pipeline into a table."""

    @property
    def is_merged(self) -> bool:
        """Whether an item replaces the one with its id."""
        return self.destination.get("primary_key") == ["id"]

    @property
    def removes(self) -> bool:
        """Whether some items of each version are removed."""
        return self.destination.get("deletes") == "remove"

    def expected(self, pages: int = 4, size: int = 3) -> list[Row]:
        """As for a file, but only the last version of merged items, and no removed ones."""
        rows = super().expected(pages, size)
        merged = sorted(dict(rows).items()) if self.is_merged else rows
        return [row for row in merged if sum(row) % REMOVED] if self.removes else merged

    def write_by(self, how: str) -> None:
        """From now on rows meet the rows of the table in this way. An item that is removed in one version is there
        again in the next."""
        if how != "append":
            self.destination |= {"write_mode": "merge", "primary_key": ["id"], "version": "version"}
        if how == REMOVING:
            self.destination |= {"deletes": "remove", "deleted_field": "gone"}
            gone = f"data['gone'] = (data['id'] + data['version']) % {REMOVED} == 0"
            self.transforms = [{"label": "remove", "python": gone}]

    @abstractmethod
    def tables(self) -> list[str]:
        """The names of all tables, sorted."""


def check_between(rig: TableRig, old: list[Row] | None) -> None:
    """After a kill: the old table or the new one; a stream has some of the new rows, each once. A
    start that was killed may have taken back the batch of the one before it, which had no checkpoint."""
    found, new = rig.rows() or [], rig.expected()
    if not rig.is_stream:
        assert found in (old, new)
    elif rig.is_merged:
        before, now, after = dict(old or []), dict(found), dict(new)
        assert len(now) == len(found), "an item has two rows"
        wrong = [id_ for id_ in {*before, *now, *after} if now.get(id_) not in (before.get(id_), after.get(id_))]
        assert not wrong, f"{found} is neither {old} nor {new} in {wrong}"
    else:
        assert len(set(found)) == len(found)
        assert set(found) <= set(new)
        assert len(set(old or []) - set(found)) <= BATCH, "a start takes back one batch without a checkpoint at most"


def finish(rig: TableRig, most_runs: int) -> None:
    """Run until one succeeds, and check the table and what is left."""
    codes: list[int] = []
    while not codes or codes[-1] != 0:
        assert len(codes) < most_runs, f"{codes}\n{rig.log()}"
        codes.append(rig.run())
    assert rig.rows() == rig.expected()
    kept = ["_bizon_commits"] if rig.is_stream else []
    tables = [name.partition("_removed_")[0] for name in rig.tables()]
    assert tables == [*kept, "_bizon_outputs", "items", *(["items"] if rig.removes else [])]
    assert "Traceback" not in rig.log()
