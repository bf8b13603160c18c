"""Work of a run that is stopped while it waits for its next attempt."""

from collections.abc import Callable
from threading import Event, Thread

from bizon.common.waiting import ends_with

BOUND = 30  # seconds; reached only when something is broken


def error_when_stopped(work: Callable[[], object], wait_until_it_waits: Callable[[], None]) -> BaseException:
    """The error that ends ``work``, on a thread of a run whose stop flag is set once it waits."""
    sign, errors = Event(), list[BaseException]()

    def run() -> None:
        try:
            with ends_with(sign):
                work()
        except BaseException as error:
            errors.append(error)

    thread = Thread(target=run, daemon=True)
    thread.start()
    wait_until_it_waits()
    sign.set()
    thread.join(BOUND)
    assert not thread.is_alive(), "it still waits"
    return errors[0]
