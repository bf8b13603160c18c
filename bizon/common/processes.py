"""Whether a process still lives, judged by the id, place and start that it recorded.

``place`` names the set of process ids that a process sees, and ``started`` the time it began. Together they distinguish
a process from a later one with the same id.
"""

import os
import socket
from pathlib import Path
from typing import NamedTuple, Self


class Worker(NamedTuple):
    """A process that works on a job, as it records itself next to an output."""

    job_id: str
    host: str
    pid: int
    place: str
    started: str

    @classmethod
    def of_this_process(cls, job_id: str) -> Self:
        """This process, which works on the job."""
        pid = os.getpid()
        return cls(job_id, socket.gethostname(), pid, place(), started(pid))


def place() -> str:
    """The set of process ids that this process sees: boot and namespace. Empty when the system does not report them."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def started(pid: int) -> str:
    """When a process began, in kernel ticks since boot; empty when there is no such process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    state, began = fields[0], fields[19]
    return "" if state in "ZX" else began


def is_gone(pid: int, its_place: str, its_start: str) -> bool:
    """True when the process has certainly ended. Only a process of the same place can be judged."""
    if not (its_place and its_start) or its_place != place():
        return False
    return started(pid) != its_start
