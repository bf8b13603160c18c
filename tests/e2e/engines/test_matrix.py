"""Every combination of state, queue and runner: a run that dies in the middle is finished by the next one."""

import pytest
from e2e.engines.conftest import MakeEngine

PAGES = 6
STATES = ["sqlite", "postgres"]
QUEUES = ["python_queue", "rabbitmq", "kafka"]


@pytest.mark.lesson("F-46")
@pytest.mark.parametrize("runner", ["thread", "process"])
@pytest.mark.parametrize("queue", QUEUES)
@pytest.mark.parametrize("state", STATES)
def test_a_run_that_is_killed_in_the_middle_is_finished_by_the_next_one(
    make_engine: MakeEngine, state: str, queue: str, runner: str
) -> None:
    """With threads there is an output before: it stays until the new one is whole."""
    engine = make_engine(state, queue, pages=1)
    engine.pipeline.set("engine.runner.type", runner)
    engine.allow(1)
    jobs, old = 1, None
    if runner == "thread":
        engine.run()
        engine.assert_done(1)
        jobs, old = 2, (engine.folder / "out.json").read_bytes()
    engine.pipeline.source(pages=PAGES)
    engine.allow(4)
    run = engine.start()
    engine.wait_for_page(4)
    engine.wait_for_commit(3, job=jobs)
    run.kill()
    assert (engine.folder / "out.json").read_bytes() == old if old else not (engine.folder / "out.json").exists()
    assert engine.report().was_killed
    engine.allow(PAGES)
    engine.run()
    engine.assert_done(PAGES, jobs)
    again = {page for page, times in engine.asked().items() if times > (page == "page 0") * (jobs - 1) + 1}
    assert "page 4" in again
    assert again <= {"page 3", "page 4"}
