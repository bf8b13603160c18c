"""Settings of the Python interpreter and its allocator, for a process that belongs to bizon."""

import ctypes
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_THRESHOLDS = (
    50_000,
    20,
    50,
)  # new containers per collection of the youngest generation; its collections per older one
_SWITCH_INTERVAL = 0.0005  # seconds
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # the numbers of glibc's mallopt(3)
_KEPT, _OWN_MAPPING = 64 * 2**20, 32 * 2**20  # bytes


@contextmanager
def tuned_for_pages() -> Iterator[None]:
    """Within: collect garbage cycles less often than by default, and switch threads sooner.

    A page is thousands of dicts that reference counting frees. By default the collector visits them a dozen times per
    page before that, which took a third of a run. It also skips all objects imported so far.

    The writing thread releases the interpreter for Polars and the disk hundreds of times per flush. By default a source
    that is busy in Python keeps it waiting 5 ms each time, and pages pile up.

    The memory of a page is kept for the next one. This setting stays when the block ends.
    """
    _keep_freed_memory()
    thresholds, was_enabled, interval = gc.get_threshold(), gc.isenabled(), sys.getswitchinterval()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
    gc.enable()
    sys.setswitchinterval(_SWITCH_INTERVAL)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)
        gc.set_threshold(*thresholds)
        gc.unfreeze()
        if not was_enabled:
            gc.disable()


def _keep_freed_memory() -> None:
    """By default glibc returns the top of the heap once 128 KB of it are free, which is after every page. The kernel
    then clears it again for the next page: up to a fifth of a run. Does nothing with another C library."""
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(_TRIM_THRESHOLD, _KEPT)
        library.mallopt(_MMAP_THRESHOLD, _OWN_MAPPING)
