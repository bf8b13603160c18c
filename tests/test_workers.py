"""Workers find the tests compiled, and each begins with files of its own that cost much."""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import workers

COSTLY, CHEAP = 12, 40


@dataclass
class Item:
    """As much of a test as the plugin looks at."""

    nodeid: str
    fixturenames: list[str] = field(default_factory=list)


def items() -> list[Any]:
    """Cheap tests, and among them files of pipelines and two files with a warehouse."""
    found = [Item(f"tests/rows/test_{number % 8}.py::test_it[{number}]") for number in range(CHEAP)]
    for file in "abc":
        found += [Item(f"tests/e2e/test_{file}.py::test_it[{number}]") for number in range(COSTLY)]
    for file in "xy":
        found += [Item(f"tests/connectors/test_{file}.py::test_it[{number}]", ["warehouse"]) for number in range(3)]
    return sorted(found, key=lambda item: item.nodeid)


def parts(listed: list[Any], number: int) -> list[list[str]]:
    """The parts of the list that the workers begin with: the names of the files, in their order."""
    found = []
    for worker in range(number):
        size = len(listed) // (number - worker)
        found.append(list(dict.fromkeys(item.nodeid.partition("::")[0] for item in listed[:size])))
        listed = listed[size:]
    return found


def test_each_worker_begins_with_files_that_cost_much() -> None:
    begun = [part[:2] for part in parts(workers.in_parts(items(), 4), 4)]
    assert sorted(name for part in begun for name in part if "rows" not in name) == [
        *("tests/connectors/test_x.py", "tests/connectors/test_y.py"),
        *(f"tests/e2e/test_{file}.py" for file in "abc"),
    ]
    assert all("rows" not in part[0] for part in begun)


def test_one_worker_begins_with_all_tests_in_a_warehouse() -> None:
    holders = [part for part in parts(workers.in_parts(items(), 3), 3) if any("connectors" in name for name in part)]
    assert len(holders) == 1


@pytest.mark.parametrize("number", [2, 3, 4, 7, 100])
def test_no_test_is_lost_and_a_file_keeps_its_order(number: int) -> None:
    listed = workers.in_parts(items(), number)
    assert sorted(item.nodeid for item in listed) == [item.nodeid for item in items()]
    for file in {item.nodeid.partition("::")[0] for item in listed}:
        of_file = [item.nodeid for item in items() if item.nodeid.startswith(file)]
        assert [item.nodeid for item in listed if item.nodeid.startswith(file)] == of_file


def test_tests_that_are_collected_are_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "pycache_prefix", None)
    for name in ("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX"):
        monkeypatch.delenv(name, raising=False)
    files = [tmp_path / f"test_{name}.py" for name in "abc"]
    for file in files:
        file.write_text("def test_it(): assert True\n")
    assert workers.uncompiled(tmp_path) == files
    workers.compile_tests(files, tmp_path)
    assert workers.uncompiled(tmp_path) == []
