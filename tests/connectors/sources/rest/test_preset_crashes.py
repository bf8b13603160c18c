"""Each preset killed by SIGKILL: at each named point of the engine, and inside of each kind of page. The next run ends
the job, every record is there once, and the stand-in counts what a kill costs."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import cycle
from pathlib import Path

import commands
import pytest
from connectors.sources.rest.preset_runs import CASES, Case, PresetRun, Whole
from e2e.crash.crash_cli import environment
from e2e.crash.test_crash_matrix import NEW_IS_PUBLISHED, OLD_IS_PUBLISHED, RANDOM
from standins.rest.presets import START
from standins.rest.server import Asked, RestStandIn

RUNNERS = ("thread", "process", "stream")
PLACES = {"second": 0.0, "early": 0.25, "middle": 0.5, "late": 0.7, "last": 0.9}
"""The place of the request that is not answered, between the second and the last one. A run that splits windows may
have a few requests less than another, because the moment decides where they are split."""
FOR_POINTS = {
    ("pokeapi", "pokemon_details"),
    ("github", "issues"),
    ("stripe", "events"),
    ("hubspot", "contacts"),
}
"""A stream of each preset: children, children with changes, a list with changes, windows that are split."""
POINTS = [
    (case, point, runner)
    for case in CASES
    if (case.preset, case.stream) in FOR_POINTS
    for point, runner in zip((*OLD_IS_PUBLISHED, *NEW_IS_PUBLISHED, *RANDOM), cycle(RUNNERS), strict=False)
    if point != "ready_torn"  # no run here adds to an output with records
]


@pytest.fixture
def api() -> Iterator[RestStandIn]:
    with RestStandIn().running() as server:
        yield server


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Case], Whole]:
    """The run of a case that nothing interrupts."""
    found: dict[Case, Whole] = {}

    def get(case: Case) -> Whole:
        if case not in found:
            with RestStandIn().running() as server:
                found[case] = PresetRun(tmp_path_factory.mktemp("whole"), server, case).whole()
        return found[case]

    return get


def finish(run: PresetRun, whole: Whole, runner: str) -> list[str]:
    """Run to the end of the job, which a kill has interrupted; the requests that came again."""
    run.api.before = lambda asked: None
    killed = run.asked()
    run.pipeline.run("--runner", runner)
    assert sorted(run.rows()) == sorted(whole.rows), "every record is there once"
    assert {status for status, _ in run.pipeline.jobs()} == {"succeeded"}
    later = run.asked()[len(killed) + 1 :]  # without the one that checks the connection
    return [key for key in later if key in killed]


@pytest.mark.matrix(share=40)
@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_kill_inside_of_a_page_costs_that_page(
    tmp_path: Path, api: RestStandIn, whole: Callable[[Case], Whole], case: Case, place: str, runner: str
) -> None:
    """A page of a list, of parents, of the children of one, or of a window that may be split."""
    expected, run = whole(case), PresetRun(tmp_path, api, case)
    position = round(1 + PLACES[place] * (len(expected.committed) - 3))
    before = expected.committed[position]
    killed: list[int] = []

    def kill(asked: Asked) -> None:
        if killed and len(run.asked()) == run.checks + position + 1:
            while run.committed() < before:  # the time limit of the test bounds it
                time.sleep(0.01)
            os.killpg(killed.pop(), signal.SIGKILL)

    api.before = kill
    child = run.pipeline.start("--runner", runner)
    killed.append(child.pid)
    child.communicate(timeout=60)
    assert child.returncode == -signal.SIGKILL
    in_flight = run.asked()[-1]
    assert run.committed() == before
    again = finish(run, expected, runner)
    assert set(again) == {in_flight}


@pytest.mark.matrix(share=40)
@pytest.mark.parametrize(("case", "point", "runner"), POINTS, ids=lambda value: str(value))
def test_a_run_of_a_preset_that_dies_at_a_point_is_finished_by_the_next(
    tmp_path: Path, api: RestStandIn, whole: Callable[[Case], Whole], case: Case, point: str, runner: str
) -> None:
    """No page is asked for again that was committed; on one thread, at most one page is."""
    expected, run = whole(case), PresetRun(tmp_path, api, case)
    command = [*run.pipeline.command, "--runner", runner]
    child = commands.Popen(command, cwd=tmp_path, process_group=0, env=environment(point))
    assert child.wait(60) == -signal.SIGKILL
    has_ended = run.pipeline.jobs()[-1][0] == "succeeded"
    committed = run.asked()[run.checks :][: expected.safe(run.committed())]
    again = finish(run, expected, runner)
    if not has_ended:  # else the next run has a job of its own
        assert set(again).isdisjoint(committed)
        assert runner != "stream" or len(set(again)) <= 1


PASTS = {"github": {"hours": 2}, "stripe": {"minutes": 2}, "hubspot": {"seconds": 90}}
"""The length of a window, from one such length after START."""


@pytest.mark.matrix(share=9)
@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize("case", [case for case in CASES if case.mode == "incremental"], ids=str)
def test_a_window_of_the_past_that_is_killed_comes_once_and_the_watermark_stays(
    tmp_path: Path, api: RestStandIn, case: Case, runner: str
) -> None:
    run, length = PresetRun(tmp_path, api, case), timedelta(**PASTS[case.preset])
    flags = ("--since", (START + length).isoformat(), "--until", (START + 2 * length).isoformat())
    run.pipeline.run()
    everything, before = run.rows(), len(run.asked())
    run.pipeline.run(*flags)
    past, requests = run.rows()[len(everything) :], len(run.asked()) - before
    assert set(past) < set(everything)
    assert past
    begin = len(run.asked())
    killed: list[int] = []

    def kill(asked: Asked) -> None:
        if killed and len(run.asked()) > begin + requests // 2:
            os.killpg(killed.pop(), signal.SIGKILL)

    api.before = kill
    child = run.pipeline.start("--runner", runner, *flags)
    killed.append(child.pid)
    child.communicate(timeout=60)
    assert child.returncode == -signal.SIGKILL
    api.before = lambda asked: None
    run.pipeline.run("--runner", runner, *flags)
    assert sorted(run.rows()) == sorted([*everything, *past, *past])
    assert "Success: 0 records written" in run.pipeline.run().stdout
