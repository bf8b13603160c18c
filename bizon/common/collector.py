"""Python's cycle collector, in a process that is bizon's own."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_THRESHOLDS = (50_000, 20, 50)  # containers made and not freed before a look at the youngest; looks before an older one


@contextmanager
def collecting_seldom() -> Iterator[None]:
    """Within: look for garbage cycles, less often than by default.

    A page is thousands of dicts that are freed without the collector's help; by default it walks them a dozen times
    per page first, which took a third of a run. What was imported so far is left out of its walks.
    """
    before, was_enabled = gc.get_threshold(), gc.isenabled()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
    gc.enable()
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
        if not was_enabled:
            gc.disable()
