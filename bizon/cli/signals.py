"""Ctrl-C and SIGTERM: the first asks for a graceful stop, the second ends at once; before a run both end at once."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_STDERR = 2
_INTERRUPTED = 130
_STOPPING = b"Stopping after the current page; press again to quit at once\n"
_QUITTING = b"Quit at once; what was committed is safe, run again to resume\n"


_before_leaving: Callable[[], None] | None = None
_is_done = False


def leave_when_asked() -> None:
    """As the first thing the command does: end at once, with exit code 130, when a signal comes before there is
    anything to stop. As PID 1 of a container a process without a handler would not even notice the signal.

    A signal that is ignored from outside (``nohup``) stays ignored.
    """
    for each in _SIGNALS:
        if signal.getsignal(each) is not signal.SIG_IGN:
            signal.signal(each, _leave)


def before_leaving(call: Callable[[], None]) -> None:
    """Call this first when a signal ends the command."""
    global _before_leaving, _is_done
    _before_leaving, _is_done = call, False


def nothing_to_interrupt() -> None:
    """The work is done and its result written: a signal changes nothing any more."""
    global _is_done
    _is_done = True


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


def _leave(_signal: int, _frame: object) -> None:
    if _is_done:
        return
    if _before_leaving is not None:
        _before_leaving()
    with suppress(OSError):
        os.write(_STDERR, b"Interrupted.\n")
    os._exit(_INTERRUPTED)


def _nothing(_signal: int, _frame: object) -> None:
    """A handler must be there for the wake-up descriptor to be written."""


def _watch(reader: int, stop: Callable[[], None], quit_now: Callable[[], None]) -> None:
    seen = 0
    while received := os.read(reader, 1):
        if received[0] not in _SIGNALS:
            continue
        seen += 1
        is_first = seen == 1
        if is_first:
            stop()  # before anything is said: nobody may be reading
        with suppress(OSError):
            os.write(_STDERR, _STOPPING if is_first else _QUITTING)
        if not is_first:
            quit_now()
