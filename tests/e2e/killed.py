"""Kills the process at a chosen page: ``KILL_AT=3`` once the third one has been read, before the engine has it."""

import os
import signal
from itertools import count

_pages = count(1)


def page_is_read() -> None:
    if os.environ.get("KILL_AT") == str(next(_pages)):
        os.kill(os.getpid(), signal.SIGKILL)
