"""Runs into BigQuery die by SIGKILL, at named points and at random; in the end each row is in the table once."""

import random
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

import matrices
import pytest
from e2e.bigquery.conftest import DESTINATIONS
from e2e.crash.crash_kit import MODES

if TYPE_CHECKING:
    from e2e.bigquery.conftest import WarehouseRig

    Build = Callable[..., WarehouseRig]

pytestmark = pytest.mark.matrix(share=44, pool="kills")

OLD = ["after_upload:2", "after_write:2", "after_cursor:2", "before_finalize"]
NEW = ["after_publishing_job", "removing", "before_success", "after_success"]
POINTS = {
    "bigquery": [*OLD, "after_load:2", *NEW],
    "bigquery_background": ["after_upload:2", "after_load:2", "after_cursor:2"],
    "bigquery_streaming_v2": [point for point in OLD if "upload" not in point] + ["after_append:2", *NEW],
}
POINTS |= {f"{name}_inferred": POINTS[name] for name in ("bigquery", "bigquery_streaming_v2")}
CASES = [(name, mode, point) for name in DESTINATIONS for mode in MODES for point in POINTS[name]]
"""Loads in the background publish as the others do."""
KILLS = 13 if matrices.is_long() else 3  # each of four pipelines
LONGEST = 120.0  # seconds of a run that nobody kills


@pytest.mark.parametrize(("name", "mode", "point"), CASES)
def test_a_run_that_dies_is_finished_by_the_next(build: "Build", name: str, mode: str, point: str) -> None:
    rig = build(name, mode)
    old = rig.rows()
    assert rig.run(point) == -signal.SIGKILL, rig.log()
    assert rig.rows() == (rig.expected() if point in NEW else old)
    assert rig.run() == 0, rig.log()
    if rig.statuses() == ["succeeded"]:  # it had died right after the end
        assert rig.run() == 0, rig.log()
    assert rig.rows() == rig.expected()
    assert rig.leftovers() == []


@pytest.mark.timeout(300)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["bigquery", "bigquery_streaming_v2"])
def test_runs_killed_at_random_lose_nothing_and_bring_nothing_twice(build: "Build", name: str, mode: str) -> None:
    chance = random.Random(f"{name} {mode}")
    rig = build(name, mode, pages=12, delay=0.05)
    kills = jobs = 0
    while kills < KILLS:
        killed, code = rig.run_and_kill(chance.uniform(0.2, 2.5))
        kills += killed
        if not killed:
            assert code == 0, rig.log()
        finished = rig.statuses().count("succeeded") - 1
        if finished > jobs:
            jobs = finished
            assert rig.rows() == rig.expected()
            rig.change()
    assert rig.run(timeout=LONGEST) == 0, rig.log()
    assert rig.rows() == rig.expected()
    assert rig.leftovers() == []
