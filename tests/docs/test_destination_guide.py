"""A reader follows adding-destinations.md: pastes its code where the page says, and runs its commands."""

import os
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest
from inner import ALONE, passes

from bizon.common.errors.errors import RowsRejectedError
from bizon.scaffold.destination import Style, destination_files
from bizon.scaffold.files import Place
from bizon.scaffold.names import names_of

PLACEHOLDERS = {
    "{{DEST_NAME}}": "Ledger",
    "{{dest_name}}": "ledger",
    "{{DEST_ENUM}}": "LEDGER",
    "{{dest_alias}}": "ledger",
}
REGISTRATION = Path(__file__).parents[1] / "destination/test_registration.py"
AT = "bizon/connectors/destinations/mydest"
ADD = "  # <-- add"
NAMES = ["bizon", "croco", "froggy", "turtle", "poulpo"]


@pytest.fixture
def registered(package, destination_guide):
    """The package with the destination that the guide's three steps build."""
    for name in ("config.py", "destination.py"):
        package.write(f"{AT}/src/{name}", destination_guide.block("python", f"# {AT}/src/{name}"))
    package.write(f"{AT}/src/__init__.py", "")
    package.write(f"{AT}/config/mydest.example.yml", destination_guide.block("yaml", "name: mydest"))
    for path, marker in (
        ("bizon/destination/config.py", "MY_DEST ="),
        ("bizon/common/models.py", "src.config.MyDestConfig"),
    ):
        file = package.root / path
        file.write_text(with_additions(file.read_text(), destination_guide.block("python", marker)))
    factory = package.root / "bizon/destination/destination.py"
    branch = destination_guide.block("python", "elif config.name == DestinationTypes.MY_DEST:")
    before, last, after = factory.read_text().partition("        from bizon.destination.discover import outside_class")
    factory.write_text(before + branch + "\n" + last + after)
    return package


def with_additions(text: str, block: str) -> str:
    """``text`` with the marked lines of ``block``, each below the unmarked line that precedes it there."""
    lines = text.splitlines()
    place = -1
    for line in block.splitlines():
        if line.endswith(ADD):
            place += 1
            lines.insert(place, line.removesuffix(ADD))
        else:
            place = lines.index(line)  # ValueError: the guide shows a line that the file does not have
    return "\n".join(lines) + "\n"


def query(package, statement: str) -> list[tuple]:
    with closing(sqlite3.connect(package.work / "creatures.db")) as connection:
        return connection.execute(statement).fetchall()


def names(package) -> list[str]:
    return [name for (name,) in query(package, "SELECT name FROM creatures")]


def run_example(package) -> None:
    assert "5 records" in package.bizon("run", str(package.root / AT / "config/mydest.example.yml"))


def test_the_registered_destination_is_listed_and_its_example_is_valid(registered):
    assert "mydest" in registered.bizon("destination", "list")
    registered.bizon("config", "validate", str(registered.root / AT / "config/mydest.example.yml"))


def test_the_registration_test_is_content(registered):
    passes(REGISTRATION, *ALONE, "-k", "mydest or folder", cwd=registered.work, PYTHONPATH=str(registered.root))


def test_the_registration_test_says_what_was_forgotten(registered, destination_guide):
    models = registered.root / "bizon/common/models.py"
    models.write_text("".join(each for each in models.read_text().splitlines(True) if "MyDestConfig" not in each))
    options = (*ALONE, "-q", "-p", "no:cacheprovider", "-k", "mydest and has_its_name")
    said = registered.python("-m", "pytest", *options, str(REGISTRATION), expect=1)
    message = "add the config class of 'mydest' to DESTINATIONS in bizon/common/models.py"
    assert message in said
    assert message in destination_guide.prose


@pytest.mark.lesson("F-45")
def test_the_example_config_writes_the_records_and_replaces_them_next_time(registered):
    run_example(registered)
    assert names(registered) == NAMES
    run_example(registered)
    assert names(registered) == NAMES
    assert sqlite_tables(registered) == {"creatures", "_bizon_outputs"}


def sqlite_tables(package) -> set[str]:
    return {name for (name,) in query(package, "SELECT name FROM sqlite_master WHERE type = 'table'")}


def test_an_incremental_run_appends(registered, destination_guide):
    run_example(registered)
    (registered.work / "later_source.py").write_text(destination_guide.block("python", "# later_source.py"))
    config = registered.root / AT / "config/mydest.example.yml"
    assert all(
        key in destination_guide.prose for key in ("`sync_mode: incremental`", "`source_file_path: later_source.py`")
    )
    added = "  stream: creatures\n  sync_mode: incremental\n  source_file_path: later_source.py\n"
    config.write_text(config.read_text().replace("  stream: creatures\n", added))
    run_example(registered)
    assert names(registered) == [*NAMES, *NAMES]


def test_a_streaming_run_writes_to_the_table_itself(registered):
    config = registered.root / AT / "config/mydest.example.yml"
    added = "  stream: creatures\n  sync_mode: stream\n  max_iterations: 3\n"
    config.write_text(config.read_text().replace("  stream: creatures\n", added))
    run_example(registered)
    assert sqlite_tables(registered) == {"creatures", "routed", "_bizon_outputs", "_bizon_commits"}
    assert query(registered, "SELECT name FROM routed") == [(name,) for name in NAMES[2:4]]


@pytest.mark.timeout(600)
def test_the_suite_is_claimed_as_the_guide_shows(registered, destination_guide):
    """The long matrix also interrupts it at each call: `tests/scaffold` does that to the same code in every run."""
    name = "tests/connectors/destinations/mydest/test_conformance.py"
    blocks = (destination_guide.block("python", shown) for shown in (f"# {name}", "raise_on_failure=True"))
    path = registered.write(name, "\n\n".join(blocks))
    short = "not crash_after and not fails_at and not a_kill and not hard"
    chosen = () if os.environ.get("BIZON_TEST_LONG") else ("-k", short)
    passes(path, *chosen, cwd=registered.work, PYTHONPATH=str(registered.root))


def test_a_database_that_cannot_be_reached_ends_the_run_before_the_first_page(registered):
    config = registered.root / AT / "config/mydest.example.yml"
    config.write_text(config.read_text().replace("creatures.db", "nowhere/creatures.db"))
    registered.bizon("run", str(config), expect=1)
    assert not (registered.work / "nowhere").exists()


@pytest.mark.parametrize("style", ["table", "http", "files"])
def test_the_templates_of_the_assistants_guide_are_the_scaffold(destination_templates, style):
    written = destination_files(names_of("ledger"), Style(style), Place.TREE)
    section = destination_templates.text.partition(f"### Style `{style}`\n")[2].partition("\n### ")[0]
    for path, text in written.items():
        assert not text or filled(path) + "\n" + text.rstrip() in filled(section), path


def test_a_file_of_its_own_is_what_the_scaffold_writes(destination_templates):
    section = destination_templates.text.partition("### A file of its own\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"^```python\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    written = "".join(destination_files(names_of("ledger"), Style.TABLE, Place.FILE).values())
    assert len(blocks) == 3
    assert [block for block in blocks if filled(block) not in written] == []
    assert (
        f"({filled('`from bizon.destination.discover import OutsideDestinationConfig, load_custom_destination`')}.)"
        in section
    )
    assert "from bizon.destination.discover import OutsideDestinationConfig, load_custom_destination" in written


def test_rows_that_a_database_never_takes_are_refused_by_name(destination_guide):
    class Kit:
        def write_records(self, rows: pl.DataFrame) -> tuple[bool, None]:
            return True, None

    names = {"Kit": Kit, "pl": pl, "RowsRejectedError": RowsRejectedError}
    exec(f"class Careful(Kit):\n{destination_guide.block('python', 'refused = {')}", names)
    careful = names["Careful"]()
    careful.config = SimpleNamespace(largest_record=10)
    rows = pl.DataFrame({"source_record_id": ["a", "b"], "source_data": ["{}", '{"n":12345}']})
    with pytest.raises(RowsRejectedError) as refused:
        careful.write_records(rows)
    assert refused.value.reasons == {1: "record 'b' has 11 bytes"}
    assert careful.write_records(rows[:1]) == (True, None)


def filled(text: str) -> str:
    """With the placeholders replaced, as a reader does it."""
    for placeholder, value in PLACEHOLDERS.items():
        text = text.replace(placeholder, value)
    return text
