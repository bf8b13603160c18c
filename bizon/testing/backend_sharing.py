"""Several backends on one state: in one run after another, in threads, in processes."""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.synchronize import Barrier
from threading import Barrier as ThreadBarrier
from typing import TYPE_CHECKING, Any

from bizon.common.errors.errors import BackendError
from bizon.testing.backend_fixtures import KEY, BackendFixtures, OpenBackend, alive, commit, holder

if TYPE_CHECKING:
    from bizon.engine.backend.backend import AbstractBackend

PATIENCE = 60  # seconds; a slower process counts as hung
HOUR = 3600.0


class SharingBehaviours(BackendFixtures):
    """Part of ``SharedBackendConformance``."""

    def test_missing_tables_fail_the_prerequisites_and_are_not_created(self, open_backend: OpenBackend) -> None:
        for _ in range(2):
            with open_backend() as backend:
                assert not backend.check_prerequisites()

    def test_the_state_is_there_for_the_next_run(self, backend: "AbstractBackend", open_backend: OpenBackend) -> None:
        job = backend.create_stream_job(KEY, "full_refresh")
        commit(backend, job.id, 0, 4, rows=7)
        backend.close()
        with open_backend() as again:
            assert again.check_prerequisites()
            assert again.get_last_stream_job(KEY) is not None
            assert again.get_number_of_written_rows_for_job(job.id) == 7

    def test_one_of_several_first_starts_gets_the_lease(self, open_backend: OpenBackend) -> None:
        together = ThreadBarrier(self.starts)

        def start(number: int) -> bool:
            with open_backend() as backend:
                together.wait(PATIENCE)
                backend.create_all_tables()
                taken = backend.acquire_lease(KEY, holder(str(number)), HOUR, alive) is None
                together.wait(PATIENCE)  # nobody ends while another is still trying
                return taken

        with ThreadPoolExecutor(self.starts) as pool:
            assert sorted(pool.map(start, range(self.starts))) == [False] * (self.starts - 1) + [True]

    def test_one_of_several_takeovers_gets_the_lease(
        self, backend: "AbstractBackend", open_backend: OpenBackend
    ) -> None:
        for attempt in range(3):
            assert backend.acquire_lease(KEY, holder(f"dead {attempt}"), -1, alive) is None
            together = ThreadBarrier(self.starts)

            def start(number: int, together: ThreadBarrier = together) -> str | None:
                name = f"start {number}"
                with open_backend() as own:
                    together.wait(PATIENCE)
                    taken = own.acquire_lease(KEY, holder(name), HOUR, alive) is None
                    together.wait(PATIENCE)
                    return name if taken else None

            with ThreadPoolExecutor(self.starts) as pool:
                (winner,) = [name for name in pool.map(start, range(self.starts)) if name is not None]
            backend.release_lease(KEY, winner)

    def test_one_of_two_threads_commits_a_page(self, backend: "AbstractBackend", open_backend: OpenBackend) -> None:
        job_id = backend.create_stream_job(KEY, "full_refresh").id
        together = ThreadBarrier(2)

        def work(_number: int) -> int:
            committed = 0
            with open_backend() as own:
                for page in range(self.rounds):
                    together.wait(PATIENCE)
                    committed += _committed(own, job_id, page)
            return committed

        with ThreadPoolExecutor(2) as pool:
            assert sum(pool.map(work, range(2))) == self.rounds
        assert backend.get_number_of_written_rows_for_job(job_id) == self.rounds

    def test_two_starts_at_once_never_have_the_same_epoch(
        self, backend: "AbstractBackend", open_backend: OpenBackend
    ) -> None:
        job_id = backend.create_stream_job(KEY, "full_refresh").id
        together = ThreadBarrier(2)

        def work(_number: int) -> list[int]:
            with open_backend() as own:
                together.wait(PATIENCE)
                return [own.open_epoch(job_id) for _ in range(self.rounds)]

        with ThreadPoolExecutor(2) as pool:
            epochs = [epoch for found in pool.map(work, range(2)) for epoch in found]
        assert sorted(epochs) == list(range(1, 2 * self.rounds + 1))

    def test_processes_share_one_state(self, backend: "AbstractBackend", open_backend: OpenBackend) -> None:
        """They start at once, compete for the lease and for one job, and commit to their own jobs in between."""
        contested = backend.create_stream_job(KEY, "full_refresh").id
        own_jobs = [backend.create_stream_job(KEY, "full_refresh").id for _ in range(2)]
        answers = _in_processes(_work, open_backend, [(self.rounds, contested, job_id) for job_id in own_jobs])
        assert sorted(taken for taken, _ in answers) == [False, True]
        assert sum(committed for _, committed in answers) == self.rounds
        for job_id in (contested, *own_jobs):
            assert backend.get_number_of_written_rows_for_job(job_id) == self.rounds

    def test_first_starts_of_processes_create_the_tables_once(self, open_backend: OpenBackend) -> None:
        answers = _in_processes(_first_start, open_backend, [("first",), ("second",)])
        assert sorted(answers) == [False, True]
        with open_backend() as backend:
            assert backend.check_prerequisites()


def _committed(backend: "AbstractBackend", job_id: str, page: int) -> bool:
    """True when this backend committed the page, False when another had."""
    try:
        commit(backend, job_id, page, page)
    except BackendError:
        return False
    return True


def _work(backend: "AbstractBackend", barrier: Barrier, rounds: int, contested: str, own: str) -> tuple[bool, int]:
    barrier.wait(PATIENCE)
    taken = backend.acquire_lease(KEY, holder(own), HOUR, alive) is None
    committed = 0
    for page in range(rounds):
        commit(backend, own, page, page)
        barrier.wait(PATIENCE)
        committed += _committed(backend, contested, page)
    return taken, committed


def _first_start(backend: "AbstractBackend", barrier: Barrier, name: str) -> bool:
    barrier.wait(PATIENCE)
    backend.create_all_tables()
    taken = backend.acquire_lease(KEY, holder(name), HOUR, alive) is None
    barrier.wait(PATIENCE)
    return taken


def _in_processes(work: Callable[..., Any], open_backend: OpenBackend, arguments: list[tuple[Any, ...]]) -> list[Any]:
    """The results of ``work(backend, barrier, *arguments)``, each in its own process with its own backend."""
    spawn = multiprocessing.get_context("spawn")
    barrier, answers = spawn.Barrier(len(arguments)), spawn.SimpleQueue()
    processes = [spawn.Process(target=_answer, args=(answers, work, open_backend, barrier, each)) for each in arguments]
    for process in processes:
        process.start()
    for process in processes:
        process.join(PATIENCE)
        process.kill()
    assert [process.exitcode for process in processes] == [0] * len(processes), "see the output of the processes"
    return [answers.get() for _ in processes]


def _answer(
    answers: Any, work: Callable[..., Any], open_backend: OpenBackend, barrier: Barrier, arguments: tuple[Any, ...]
) -> None:
    with open_backend() as backend:
        answers.put(work(backend, barrier, *arguments))
