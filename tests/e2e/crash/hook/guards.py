"""Guards that can be switched off, one at a time, to show that a test notices: ``GUARD_OFF=<name>``.

A guard is switched off by replacing a function of bizon right after its module is loaded. The function must exist: a
refactoring must not turn a mutant into a no-op. The hook adds a line ``applied ...`` or ``broken ...`` to the file that
GUARD_LOG names; the runner, ``mutants.py``, does not count a failure as caught when the hook itself caused it.
"""

import functools
import importlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

MATRIX = "tests/e2e/crash/test_crash_matrix.py::test_a_thread_run_that_dies_is_finished_by_the_next"
FAILURES = "tests/e2e/test_failures.py"
GUARDED = "tests/e2e/crash/test_guards.py"
FREEZES = "tests/e2e/crash/test_freeze_matrix.py"
OUTPUTS = "tests/e2e/crash/test_output_guards.py"
WATERMARKS = "tests/e2e/crash/test_watermark_guards.py"
FILE = "connectors.destinations.file.src"
_OUR_MISTAKES = (AttributeError, KeyError, NameError, TypeError)


class HookError(RuntimeError):
    """The hook does not fit bizon any longer."""


@dataclass(frozen=True)
class Guard:
    """``module``: patched right after it is loaded; ``caught_by``: the tests that should fail without the guard."""

    name: str
    module: str
    switch_off: Callable[[ModuleType], None]
    caught_by: tuple[str, ...]

    def apply(self, module: ModuleType) -> None:
        """Switch the guard off; raises HookError when it has moved."""
        try:
            self.switch_off(module)
        except Exception as error:
            note(f"broken {self.name}: {type(error).__name__}: {error}")
            raise HookError(f"guard '{self.name}' cannot be switched off: {error}") from error


GUARDS: dict[str, Guard] = {}


def guards() -> dict[str, Guard]:
    """All of them, by name."""
    for name in (
        "file_guards",
        "fence_guards",
        "contract_guards",
        "engine_guards",
        "run_guards",
        "partition_guards",
        "joined_guards",
        "stream_guards",
        "cluster_guards",
        "contact_guards",
    ):
        importlib.import_module(name)
    return GUARDS


def guard(module: str, *caught_by: str) -> Callable[[Callable[[ModuleType], None]], Callable[[ModuleType], None]]:
    """Register a function that switches a guard of ``bizon.<module>`` off; its name says what is wrong then."""

    def register(switch_off: Callable[[ModuleType], None]) -> Callable[[ModuleType], None]:
        name = switch_off.__name__
        GUARDS[name] = Guard(name, f"bizon.{module}", switch_off, caught_by)
        return switch_off

    return register


def own(owner: Any, name: str) -> Any:
    """An attribute that the class or module itself defines; raises HookError when it does not."""
    if name not in vars(owner):
        raise HookError(f"{owner.__name__} has no '{name}' of its own")
    return vars(owner)[name]


def swap(owner: Any, name: str, make: Callable[[Any], Any]) -> None:
    """Replace an attribute with ``make(attribute)``."""
    inner = own(owner, name)
    made = make(inner)
    if made is inner:
        raise HookError(f"{owner.__name__}.{name} was not changed")
    setattr(owner, name, _watched(made) if callable(made) else made)
    note(f"applied {owner.__name__}.{name}")


def put(thing: Any, name: str, value: Any) -> None:
    """Set an attribute that already exists."""
    if not hasattr(thing, name):
        raise HookError(f"{type(thing).__name__} has no '{name}'")
    setattr(thing, name, value)


class Instead:
    """A module with some of its functions replaced, for one importer only."""

    def __init__(self, real: ModuleType, **replaced: Callable[..., Any]) -> None:
        self._real = real
        for name, function in replaced.items():
            own(real, name)
            setattr(self, name, _watched(function))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def nothing(_inner: Any) -> Callable[..., None]:
    """For ``swap``: a function that does nothing."""
    return lambda *_args, **_keys: None


def note(line: str) -> None:
    """Tell the runner; one write, since several processes share the file."""
    if path := os.environ.get("GUARD_LOG"):
        with Path(path).open("a") as log:
            log.write(f"{line}\n")


def _watched(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, which reports a failure of its own, as opposed to one of the code it has switched off."""

    @functools.wraps(function)
    def call(*args: Any, **keys: Any) -> Any:
        try:
            return function(*args, **keys)
        except (HookError, *_OUR_MISTAKES) as error:
            if isinstance(error, HookError) or _raised_in(function, error):
                note(f"broken {getattr(function, '__qualname__', function)}: {type(error).__name__}: {error}")
            raise

    return call


def _raised_in(function: Callable[..., Any], error: Exception) -> bool:
    """True when the error arose in the file of the function, not in what it called."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_code.co_filename == function.__code__.co_filename
