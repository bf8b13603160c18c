"""The floors hold, and their check catches each kind of breach."""

from pathlib import Path

import pytest
from architecture.floor_rules import violations

PACKAGE = Path(__file__).parents[2] / "bizon"


def breaches_of(root: Path, files: dict[str, str]) -> list[str]:
    """Violations of a small package ``bizon`` with these files; folders get their empty ``__init__.py``."""
    package = root / "bizon"
    for path, text in files.items():
        (package / path).parent.mkdir(parents=True, exist_ok=True)
        (package / path).write_text(text)
    for folder in [package, *(folder for folder in package.rglob("*") if folder.is_dir())]:
        (folder / "__init__.py").touch()
    return violations(package)


def test_the_package_keeps_to_its_floors() -> None:
    assert "\n".join(violations(PACKAGE)) == ""


def test_the_whole_package_is_checked() -> None:
    assert len(list(PACKAGE.rglob("*.py"))) > 60


DUMMY = "connectors/sources/dummy/src/source.py"
BREACHES = {
    "a file nobody knows": ({"utils/names.py": ""}, "utils/names.py has no floor"),
    "upwards": (
        {"common/clock.py": "from bizon.engine.engine import RunnerFactory", "engine/engine.py": ""},
        "common/clock.py:1 (floor 0) imports engine/engine.py (floor 5): upwards: rule 1",
    ),
    "upwards, module by name": (
        {"common/clock.py": "import os\nfrom bizon.engine import engine", "engine/engine.py": ""},
        "common/clock.py:2 (floor 0) imports engine/engine.py (floor 5): upwards: rule 1",
    ),
    "upwards, relative": (
        {"common/clock.py": "from ..engine.engine import RunnerFactory", "engine/engine.py": ""},
        "common/clock.py:1 (floor 0) imports engine/engine.py (floor 5): upwards: rule 1",
    ),
    "upwards, under a condition": (
        {"common/clock.py": "try:\n    import bizon.engine.engine\nexcept ImportError: pass", "engine/engine.py": ""},
        "common/clock.py:2 (floor 0) imports engine/engine.py (floor 5): upwards: rule 1",
    ),
    "a cycle on one floor": (
        {"common/clock.py": "import bizon.rows.frames", "rows/frames.py": "import bizon.common.clock"},
        "import cycle common/clock.py (floor 0) -> rows/frames.py (floor 0) -> common/clock.py (floor 0): rule 1",
    ),
    "one connector imports another": (
        {
            DUMMY: "from bizon.connectors.sources.gsheets.src import config",
            "connectors/sources/gsheets/src/config.py": "",
        },
        f"{DUMMY}:1 (floor 4) imports connectors/sources/gsheets/src/config.py (floor 1): sideways, from "
        "connectors/sources/dummy into connectors/sources/gsheets: rule 2",
    ),
    "one adapter imports another": (
        {
            "engine/queue/adapters/kafka/queue.py": "import bizon.engine.queue.adapters.python_queue.queue",
            "engine/queue/adapters/python_queue/queue.py": "",
        },
        "from engine/queue/adapters/kafka into engine/queue/adapters/python_queue: rule 2",
    ),
    "a stranger uses the bigquery family's rooms": (
        {
            "connectors/destinations/file/src/config.py": "import bizon.connectors.destinations.bigquery.src.config",
            "connectors/destinations/bigquery/src/config.py": "",
        },
        "from connectors/destinations/file into connectors/destinations/bigquery: rule 2",
    ),
    "an import inside a function": (
        {"common/clock.py": "class Clock:\n    def now(self):\n        import time"},
        "common/clock.py:3 (floor 0) imports time: inside Clock.now, which is not a named door: rule 3",
    ),
    "an import inside another class of a door's file": (
        {"engine/engine.py": "class Other:\n    def make(self):\n        import time"},
        "engine/engine.py:3 (floor 5) imports time: inside Other.make, which is not a named door: rule 3",
    ),
    "an import by call": (
        {"engine/runner/runner.py": "import importlib\ndef f():\n    importlib.import_module('bizon.cli.main')"},
        "engine/runner/runner.py:3 (floor 5) imports importlib.import_module(): inside f, which is not a named",
    ),
    "the engine imports a connector": (
        {
            "engine/runner/assembly.py": "import bizon.connectors.destinations.file.src.config",
            "connectors/destinations/file/src/config.py": "",
        },
        "engine/runner/assembly.py:1 (floor 5) imports connectors/destinations/file/src/config.py (floor 1): "
        "the engine knows no connector: rule 4",
    ),
    "a connector looks into the engine": (
        {DUMMY: "from bizon.engine.pipeline.loader import Loader", "engine/pipeline/loader.py": ""},
        f"{DUMMY}:1 (floor 4) imports engine/pipeline/loader.py (floor 3): connectors are guests",
    ),
    "a connector looks into the engine for a type": (
        {
            DUMMY: "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import bizon.engine.runner.runner",
            "engine/runner/runner.py": "",
        },
        f"{DUMMY}:3 (floor 4) imports engine/runner/runner.py (floor 5): connectors are guests",
    ),
    "a heavy config": (
        {"engine/queue/config.py": "import polars as pl"},
        "engine/queue/config.py:1 (floor 1) imports polars: configuration takes only",
    ),
    "requests in a config that is not an authentication": (
        {"source/config.py": "import requests"},
        "source/config.py:1 (floor 1) imports requests: configuration takes only",
    ),
    "a config that is heavy by way of another file": (
        {
            "source/config.py": "import bizon.source.models",
            "source/models.py": "import bizon.rows.frames",
            "rows/frames.py": "import polars",
        },
        "source/config.py (floor 1) -> source/models.py (floor 0) -> rows/frames.py (floor 0) loads polars: rule 5",
    ),
    "a package file with content": (
        {"common/__init__.py": "x = 1"},
        "common/__init__.py (floor 0) is not empty: rule 6",
    ),
}


@pytest.mark.parametrize(("files", "message"), BREACHES.values(), ids=BREACHES)
def test_a_breach_is_named(tmp_path: Path, files: dict[str, str], message: str) -> None:
    found = breaches_of(tmp_path, files)
    assert len(found) == 1, found
    assert message in found[0]


ALLOWED = {
    "downwards": {"engine/engine.py": "import bizon.common.clock", "common/clock.py": ""},
    "upwards for a type": {
        "common/clock.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import bizon.engine.engine",
        "engine/engine.py": "",
    },
    "through a door": {
        "engine/queue/queue.py": "class QueueFactory:\n def get(self):\n  import bizon.engine.queue.adapters.a.queue",
        "engine/queue/adapters/a/queue.py": "import bizon.engine.queue.queue",
    },
    "lazy public names": {
        "__init__.py": "def __getattr__(name):\n    import bizon.engine.engine",
        "engine/engine.py": "",
    },
    "a command that imports in its body": {"cli/main.py": "def run():\n    import polars"},
    "a guest in the rooms that are open": {
        DUMMY: "from .config import DummyConfig\nfrom bizon.source.source import AbstractSource\nimport requests",
        "connectors/sources/dummy/src/config.py": "from bizon.source.config import SourceConfig",
        "source/source.py": "",
        "source/config.py": "import pydantic",
    },
    "the bigquery family": {
        "connectors/destinations/bigquery_x/src/config.py": "import bizon.connectors.destinations.bigquery.src.config",
        "connectors/destinations/bigquery/src/config.py": "",
    },
    "requests below source/auth": {"source/auth/authenticators/token.py": "import requests"},
}


@pytest.mark.parametrize("files", ALLOWED.values(), ids=ALLOWED)
def test_allowed_imports_pass(tmp_path: Path, files: dict[str, str]) -> None:
    assert breaches_of(tmp_path, files) == []
