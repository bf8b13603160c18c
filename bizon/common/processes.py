"""Telling whether a process still lives, from what another process noted of it.

``place`` names the set of process ids that a process sees, ``started`` when it began: together they tell a process from
a later one with the same id.
"""

import os
from pathlib import Path


def place() -> str:
    """The set of process ids that this process sees: boot and namespace. Empty where the system does not tell."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def started(pid: int) -> str:
    """When a process began, in the kernel's ticks since boot; empty when there is no such process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    state, began = fields[0], fields[19]
    return "" if state in "ZX" else began


def is_gone(pid: int, its_place: str, its_start: str) -> bool:
    """True when it is certain that the process is gone: it lived among the same process ids as this one."""
    if not (its_place and its_start) or its_place != place():
        return False
    return started(pid) != its_start
