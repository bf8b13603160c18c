"""Ctrl-C and SIGTERM: the first signal stops the run gracefully, the second ends it at once.

Before a run begins, the first signal ends the command at once.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_STDERR = 2
_INTERRUPTED = 130
_STOPPING = b"Stopping after the current page; press again to quit at once\n"
_QUITTING = b"Quit at once; all commits are safe, run again to resume\n"


_before_leaving: Callable[[], None] | None = None
_is_done = False


def leave_when_asked() -> None:
    """End at once, with exit code 130, when a signal arrives before there is anything to stop. The first call of the
    command. PID 1 of a container would ignore the signal without a handler.

    A signal that the parent ignores (``nohup``) stays ignored.
    """
    for each in _SIGNALS:
        if signal.getsignal(each) is not signal.SIG_IGN:
            signal.signal(each, _leave)


def before_leaving(call: Callable[[], None]) -> None:
    """Set a function to call before a signal ends the command."""
    global _before_leaving, _is_done
    _before_leaving, _is_done = call, False


def nothing_to_interrupt() -> None:
    """From now on signals are ignored: the work is done and its result written."""
    global _is_done
    _is_done = True


@contextmanager
def graceful_stop(stop: Callable[[], None], quit_now: Callable[[], None]) -> Iterator[None]:
    """Within: the first signal calls ``stop``, the second ``quit_now``. The old handlers are restored at the end.

    A separate thread calls both; the interpreter's wake-up descriptor wakes it. So a signal takes effect while the
    main thread is busy in foreign code, and ``stop`` may take locks that the main thread holds. Outside the main
    thread, which alone can handle signals, this does nothing.
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
    """The interpreter writes to the wake-up descriptor only for signals that have a handler."""


def _watch(reader: int, stop: Callable[[], None], quit_now: Callable[[], None]) -> None:
    seen = 0
    while received := os.read(reader, 1):
        if received[0] not in _SIGNALS:
            continue
        seen += 1
        is_first = seen == 1
        if is_first:
            stop()  # before the message: writing it may block
        with suppress(OSError):
            os.write(_STDERR, _STOPPING if is_first else _QUITTING)
        if not is_first:
            quit_now()
