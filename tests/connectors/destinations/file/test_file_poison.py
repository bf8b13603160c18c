"""One record that no column can hold: the others arrive, and its dead letter is what the source sent."""

import json
from pathlib import Path
from textwrap import dedent

import polars as pl
import pytest

from bizon import RunnerFactory

SOURCE = """
    from pathlib import Path

    from bizon.source.config import SourceConfig
    from bizon.source.models import JsonLines, SourceIteration
    from bizon.source.source import AbstractSource


    class Poison(AbstractSource):
        @staticmethod
        def streams():
            return ["items"]

        @staticmethod
        def get_config_class():
            return SourceConfig

        def get_authenticator(self):
            return None

        def check_connection(self):
            return True, None

        def get(self, pagination=None):
            lines = Path("lines.txt").read_bytes().split(b"\\n")
            return SourceIteration(records=JsonLines(lines, ids=["1", "2", "3"]), next_pagination={})
"""
POISON = [
    '{"id":2,"t":"cut \\ud83d","price":1.10}',
    '{"id":1e400,"t":"x"}',
    '{"id":1E+999999999,"t":"x"}',
    '{"id":2,"t":"x","price":1e400}',
    '{"id":2,"t":"x","day":"\\ud83d"}',
    '{"id":2.0,"t":"x"}',
]


@pytest.mark.parametrize("format", ["json", "parquet"])
@pytest.mark.parametrize("poison", POISON)
def test_a_record_that_no_column_can_hold_is_a_dead_letter_as_it_was_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, poison: str, format: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "source.py").write_text(dedent(SOURCE))
    (tmp_path / "lines.txt").write_text("\n".join(['{"id":1,"t":"ok"}', poison, '{"id":3,"t":"ok"}']))
    columns = {"id": "integer", "t": "string", "price": "float", "day": "date"}
    schema = [{"name": name, "type": kind} for name, kind in columns.items()]
    config = {
        "name": "poison",
        "source": {"name": "poison", "stream": "items", "source_file_path": "source.py"},
        "on_error": "dead_letter",
        "destination": {
            "name": "file",
            "config": {
                "destination_id": "out",
                "format": format,
                "unnest": True,
                "record_schemas": [{"destination_id": "out", "record_schema": schema}],
            },
        },
        "engine": {"backend": {"type": "sqlite_in_memory"}},
    }
    assert RunnerFactory.create_from_config_dict(config).run().is_success
    out = pl.read_parquet("out.parquet") if format == "parquet" else pl.read_ndjson("out.json")
    assert out["id"].to_list() == [1, 3]
    (letter,) = map(json.loads, Path("out.dead_letters.json").read_text().splitlines())
    assert letter["source_data"] == poison
    assert letter["source_record_id"] == "2"
    assert "column '" in letter["reason"]
    assert "record '2'" in letter["reason"]
