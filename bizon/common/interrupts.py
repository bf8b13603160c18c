"""Distinguishes exceptions for the whole process from failures of a connector.

``SystemExit``, ``KeyboardInterrupt`` and the panics of Rust libraries do not derive from ``Exception``. A source, a
transform or a destination that raises one has failed. A signal handler of the host that raises one ends the work of the
host, and bizon passes it on.
"""

import signal
from types import CodeType


def is_for_the_process(error: BaseException) -> bool:
    """True when a signal handler of the host raised the exception: Ctrl-C, the time limit of a task, ``sys.exit`` on
    SIGTERM. Called when a worker fails, on any thread. Signal handlers run on the main thread only."""
    if isinstance(error, KeyboardInterrupt) and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        return True
    handlers = _handlers()
    step = error.__traceback__
    while step is not None:
        if step.tb_frame.f_code in handlers:
            return True
        step = step.tb_next
    return False


def is_failure(error: BaseException) -> bool:
    """True for a failure of a connector or its libraries: an exception, ``sys.exit``, a panic of a Rust library.

    False for exceptions for the whole process, and for unknown types, after which the state of the work is unknown.
    """
    if is_for_the_process(error):
        return False
    is_panic = type(error).__module__ == "pyo3_runtime"
    return is_panic or isinstance(error, Exception | SystemExit | KeyboardInterrupt)


def in_words(error: BaseException) -> str:
    """``ValueError: no such page`` for a message. A text that names its type already, as the session's errors do, stays
    as it is. For ``sys.exit`` it says what to do instead."""
    if isinstance(error, SystemExit):
        return f"SystemExit: sys.exit({error.code!r}) was called inside the pipeline; raise an exception instead"
    name, text = type(error).__name__, str(error)
    if name in text.split(": "):
        return text
    return f"{name}: {text}" if text else name


def _handlers() -> frozenset[CodeType]:
    installed = (signal.getsignal(each) for each in signal.valid_signals())
    found = (getattr(handler, "__code__", None) for handler in installed)
    return frozenset(code for code in found if isinstance(code, CodeType))
