"""A pipeline into a typed table, by the real command; rows and columns are read without it."""

import json
import os
import subprocess
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import commands
from e2e.conftest import Pipeline

from bizon.common.models import BizonConfig
from bizon.testing.table_rows import RESCUED, own_columns
from bizon.testing.tables import TableConformance

SOURCE = Path(__file__).with_name("pages_source.py")


WITHOUT_RIGHTS = [
    "setpriv",
    "--bounding-set=-dac_override,-dac_read_search",
    "--inh-caps=-dac_override,-dac_read_search",
]
"""Before a command: permissions of files count, for root, too."""


class Table(Pipeline):
    """The table ``items`` of a destination. ``suite``: the conformance suite of this destination, which reads and
    damages its tables."""

    suite: TableConformance
    enter: Sequence[str] = ()
    """Words before a command."""

    def __init__(self, folder: Path, name: str, suite: TableConformance, **config: Any) -> None:
        super().__init__(folder)
        self.suite = suite
        self.set("source", {"name": "pages", "stream": "pages", "source_file_path": str(SOURCE)})
        self.set("destination", {"name": name, "config": {"destination_id": "items", "buffer_size": 0, **config}})

    def bizon(self, *arguments: str, expect: int = 0) -> "subprocess.CompletedProcess[str]":
        """As for each pipeline."""
        if not self.enter:
            return super().bizon(*arguments, expect=expect)
        _ = self.command
        command = [*self.enter, *commands.BIZON, *arguments]
        done = commands.run(command, cwd=self.folder, capture_output=True, text=True, timeout=60)
        assert done.returncode == expect, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    @contextmanager
    def unreadable(self, path: Path) -> Iterator[None]:
        """Within: nobody may read a file."""
        mode = path.stat().st_mode
        path.chmod(0)
        self.enter = WITHOUT_RIGHTS if os.geteuid() == 0 else ()
        try:
            yield
        finally:
            self.enter = ()
            path.chmod(mode)

    def serve(self, *pages: Sequence[Mapping[str, Any]]) -> "Table":
        """The source has these pages from now on."""
        (self.folder / "pages.json").write_text(json.dumps(pages))
        return self

    def load(self, *pages: Sequence[Mapping[str, Any]], expect: int = 0) -> dict[str, Any]:
        """Run once with these pages; the result file."""
        self.serve(*pages).run("--result-json", "result.json", expect=expect)
        return self.result()

    def result(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "result.json").read_text())
        return found

    def rows(self) -> dict[str, dict[str, Any]]:
        """The values of the records, by record id, without nulls; JSON is decoded, and numbers have all their
        digits."""
        types = self.columns()
        found: dict[str, dict[str, Any]] = {}
        for row in self.suite.rows(self.block):
            id_ = str(row["_source_record_id"])
            assert id_ not in found, f"record {id_} is there twice"
            found[id_] = {name: _plain(row[name], kind) for name, kind in types.items() if row[name] is not None}
        return found

    def rows_by(self, key: str) -> dict[str, dict[str, Any]]:
        """The rows as they are, by a column that no two rows have in common."""
        found = self.suite.rows(self.block)
        assert len({row[key] for row in found}) == len(found)
        return {str(row[key]): dict(row) for row in found}

    def look(self, column: str) -> list[tuple[Any, ...]]:
        """Ids and values of a column as a reader finds them now, sorted; nothing where the table cannot be read now."""
        found = [(str(row["_source_record_id"]), int(row[column])) for row in self.suite.rows(self.block)]
        return [tuple(sorted(found))]

    def rescued(self) -> dict[str, Any]:
        """The rescued values by record id, where there are any."""
        found = {str(row["_source_record_id"]): row[RESCUED] for row in self.suite.rows(self.block)}
        return {id_: json.loads(text) for id_, text in found.items() if text is not None}

    def columns(self) -> dict[str, str]:
        """The columns of the records, with the types of the kit."""
        return own_columns(self.suite.types(self.block))

    def damage(self, how: str) -> None:
        """Change what is staged of the record ``r0``: see ``TableClaims.damage``."""
        self.suite.damage(self.block, how)

    def snapshot(self) -> Any:
        """All that a look must not change: the tables of the place, and their rows."""
        return self.leftovers(), self.suite.rows(self.block)

    def document(self, *arguments: str) -> Any:
        """The JSON document that a command prints; numbers have all their digits."""
        return json.loads(self.bizon(*arguments, "--json").stdout, parse_float=Decimal)

    @property
    def block(self) -> Any:
        """The ``destination`` block, validated."""
        return BizonConfig.model_validate(self.config).destination

    @abstractmethod
    def leftovers(self) -> list[str]:
        """Tables, files and objects that staging has left behind."""


def _plain(value: Any, kind: str) -> Any:
    if kind == "json" and isinstance(value, str):
        return json.loads(value)
    if kind.startswith(("int64", "decimal", "float64")):
        return Decimal(str(value))
    return value
