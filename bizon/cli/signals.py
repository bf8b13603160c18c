"""Ctrl-C and SIGTERM: the first asks for a graceful stop, the second ends at once."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_STDERR = 2
_STOPPING = b"Stopping after the current page; press again to quit at once\n"
_QUITTING = b"Quit at once; what was committed is safe, run again to resume\n"


@contextmanager
def graceful_stop(stop: Callable[[], None], quit_now: Callable[[], None]) -> Iterator[None]:
    """Within: the first signal calls ``stop``, the second ``quit_now``; the old handlers come back at the end.

    Both are called on a thread of their own, woken by the interpreter's wake-up descriptor. So a signal is seen while
    the main thread is busy in foreign code, and ``stop`` may take locks that the main thread is holding. Outside the
    main thread, where signals cannot be handled, this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    old_descriptor = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    old_handlers = {each: signal.signal(each, _nothing) for each in _SIGNALS}
    watcher = threading.Thread(target=_watch, args=(reader, stop, quit_now), name="bizon-signals", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        for each, handler in old_handlers.items():
            signal.signal(each, handler)
        signal.set_wakeup_fd(old_descriptor)
        os.close(writer)  # ends the watcher
        watcher.join()
        os.close(reader)


def _nothing(_signal: int, _frame: object) -> None:
    """A handler must be there for the wake-up descriptor to be written."""


def _watch(reader: int, stop: Callable[[], None], quit_now: Callable[[], None]) -> None:
    seen = 0
    while received := os.read(reader, 1):
        if received[0] not in _SIGNALS:
            continue
        seen += 1
        os.write(_STDERR, _STOPPING if seen == 1 else _QUITTING)
        if seen == 1:
            stop()
        else:
            quit_now()
