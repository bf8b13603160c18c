"""Interrupts a destination at its calls to the target: the process dies there, or the target fails.

A call goes to the target when code outside the client's modules calls a function of theirs. Such calls are counted and
interrupted through the interpreter's profile hook, so a destination needs no seam for tests. Only the calling thread is
watched.
"""

import gc
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from inspect import CO_GENERATOR
from types import FrameType
from typing import Any

_RELEASING = {"__enter__", "__exit__", "__del__", "close", "rollback"}
_NO_REQUESTS = {"__init__", "__new__", "cursor", "fetchone", "fetchmany", "fetchall"} | _RELEASING
"""Functions that send nothing, or that a process which dies never reaches."""
_ENDS_OF_C = ("c_return", "c_exception")
_ENDS_OF_PYTHON = ("return",)


class DiedError(BaseException):
    """The process dies here. A BaseException, so that no code under test takes it for a failure."""


@dataclass
class Calls:
    """The calls to the target so far, and the one to interrupt.

    ``client``: modules, each with its submodules. ``at``: number of the call, from 1; 0 = none. ``error``: makes the
    exception. ``after``: the call has its effect first, as when a process dies after it or its answer is lost.
    """

    client: Sequence[str]
    at: int = 0
    error: Callable[[], BaseException] = DiedError
    after: bool = True
    seen: int = 0
    name: str = ""
    _known: dict[object, bool] = field(default_factory=dict, repr=False)

    @property
    def was_interrupted(self) -> bool:
        """Whether call ``at`` was made."""
        return 0 < self.at <= self.seen

    def is_target(self, module: object) -> bool:
        """Whether a module belongs to the client. Remembered: a job makes thousands of calls, to few modules."""
        found = self._known.get(module)
        if found is None:
            name = str(module or "").lstrip("_")
            ours = [each.lstrip("_") for each in self.client]
            found = self._known[module] = any(name == each or name.startswith(f"{each}.") for each in ours)
        return found


def spread(seen: int, most: int) -> range:
    """The numbers of the calls to interrupt, of ``seen`` calls. ``most``: of them, at equal distances; 0: all."""
    return range(1, seen + 1, -(-seen // most) if seen and most else 1)


@contextmanager
def leaving_things_open() -> Iterator[None]:
    """Within: interrupted code leaves connections and files open, and that is not worth a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        yield
        gc.collect()


@contextmanager
def watching(calls: Calls) -> Iterator[Calls]:
    """Within: counts the calls of this thread to the target, and interrupts one of them."""
    frame_of_call: FrameType | None = None
    ends: tuple[str, ...] = ()

    def profile(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal frame_of_call, ends
        if frame_of_call is not None:  # first: a driver in Python causes hundreds of events a call
            if frame is frame_of_call and event in ends:
                frame_of_call = None
                if event != "c_exception":
                    _interrupt(calls, after=True)
            return
        is_c = event == "c_call"
        if not is_c and event != "call":
            return
        if not calls.is_target(_module_of(argument) if is_c else frame.f_globals.get("__name__")):
            return
        caller = frame if is_c else frame.f_back
        if caller is None or _sends_nothing(frame, is_c) or calls.is_target(caller.f_globals.get("__name__")):
            return
        name = _name_of(argument, frame, is_c)
        if name.rpartition(".")[2] not in _NO_REQUESTS:
            calls.seen += 1
            calls.name = name if calls.seen == calls.at else calls.name
            _interrupt(calls, after=False)
            frame_of_call, ends = frame, _ENDS_OF_C if is_c else _ENDS_OF_PYTHON

    previous = sys.getprofile()
    sys.setprofile(profile)
    try:
        yield calls
    finally:
        sys.setprofile(previous)


def _interrupt(calls: Calls, *, after: bool) -> None:
    if calls.seen == calls.at and calls.after is after:
        sys.setprofile(None)
        raise calls.error()


def _module_of(function: Any) -> object:
    owner = getattr(function, "__self__", None)
    if owner is None or isinstance(owner, type(sys)):
        return getattr(function, "__module__", None)
    kind = owner if isinstance(owner, type) else type(owner)
    return kind.__module__


def _name_of(function: Any, frame: FrameType, is_c: bool) -> str:
    return str(getattr(function, "__name__", function)) if is_c else frame.f_code.co_qualname


def _sends_nothing(frame: FrameType, is_c: bool) -> bool:
    """Whether a generator goes on, which is not a new call, or an object is released: PyMySQL's ``__del__`` is its
    ``_force_close``, and an exception that leaves a finalizer reaches nobody."""
    if is_c:
        return False
    if frame.f_code.co_flags & CO_GENERATOR:
        return frame.f_lasti > 0
    owner = frame.f_locals.get(frame.f_code.co_varnames[0]) if frame.f_code.co_argcount else None
    finalizer = getattr(type(owner), "__del__", None)
    return getattr(finalizer, "__code__", None) is frame.f_code
