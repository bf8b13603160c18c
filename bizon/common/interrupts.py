"""Telling an exception that is meant for the whole process from one that a connector raised.

``SystemExit``, ``KeyboardInterrupt`` and the panics of Rust libraries are no ``Exception``. Raised by a source, a
transform or a destination they are failures like any other. Raised by a signal handler they are how the host ends its
work, and no business of bizon's.
"""

import signal
from types import CodeType


def is_for_the_process(error: BaseException) -> bool:
    """True when a signal handler of the host raised the exception: Ctrl-C, a task's time limit, ``sys.exit`` on
    SIGTERM. Called where a worker fails, on any thread; signal handlers only run on the main thread."""
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
    """True for what a connector, or a library it uses, fails by: an exception, ``sys.exit``, a panic of a library in
    Rust. False for what is meant for the process, and for the unknown, of which nobody can say how far it got."""
    if is_for_the_process(error):
        return False
    is_panic = type(error).__module__ == "pyo3_runtime"
    return is_panic or isinstance(error, Exception | SystemExit | KeyboardInterrupt)


def in_words(error: BaseException) -> str:
    """``ValueError: no such page`` for a message; says what to do instead of ending the interpreter."""
    if isinstance(error, SystemExit):
        return f"SystemExit: sys.exit({error.code!r}) was called inside the pipeline; raise an exception instead"
    return f"{type(error).__name__}: {error}"


def _handlers() -> frozenset[CodeType]:
    installed = (signal.getsignal(each) for each in signal.valid_signals())
    found = (getattr(handler, "__code__", None) for handler in installed)
    return frozenset(code for code in found if isinstance(code, CodeType))
