"""Pipelines that have run once, so that each test begins with the second run."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from e2e.crash.crash_kit import STREAMED, Build, Rig

MOST_PAGES = 10
"""A run of a stream ends by itself: it asks for more pages than both versions have."""


def rig_of(folder: Path, mode: str, format: str, runner: str) -> Rig:
    """A pipeline that must have loaded everything when the test ends."""
    return Rig(folder, mode, format, runner, **({"max_iterations": MOST_PAGES} if mode == STREAMED else {}))


@pytest.fixture(scope="session")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Path]:
    """The folder of a finished first run."""
    made: dict[tuple[str, str], Path] = {}

    def get(mode: str, format: str) -> Path:
        if (mode, format) not in made:
            folder = tmp_path_factory.mktemp("seed")
            rig = rig_of(folder, mode, format, "thread")
            assert rig.run() == 0, rig.log()
            assert rig.rows() == rig.expected()
            made[mode, format] = folder
        return made[mode, format]

    return get


@pytest.fixture
def build(tmp_path: Path, seeds: Callable[[str, str], Path]) -> Build:
    """A pipeline that has published version 1, and whose source has version 2 now."""

    def make(mode: str, format: str, runner: str) -> Rig:
        folder = tmp_path / "run"
        shutil.copytree(seeds(mode, format), folder)
        rig = rig_of(folder, mode, format, runner)
        rig.change()
        return rig

    return make
