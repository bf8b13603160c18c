"""The same command on several hosts: ``on_hosts.py COUNT SHARE COMMAND...``. Needs root and ``unshare``.

A host is a set of process ids with a host name of its own, and a control group that gives it SHARE of one processor.
The hosts share the files and the network of this machine. ``{job}`` in the command becomes a name that no earlier call
had. Ends when all commands have ended, with the highest of their exit codes.
"""

import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup")
_PERIOD = 100_000  # microseconds
_HOST = ("unshare", "--pid", "--uts", "--fork", "--kill-child", "--mount-proc")
_JOINED = 'echo $$ > "$1/cgroup.procs" && hostname "$0" && shift && exec "$@"'


@contextmanager
def limited(name: str, share: float) -> Iterator[Path]:
    """Within: a control group whose processes get this share of one processor."""
    is_old = (_GROUPS / "cpu").is_dir()
    group = (_GROUPS / "cpu" if is_old else _GROUPS) / name
    group.mkdir()
    quota = int(share * _PERIOD)
    try:
        if is_old:
            (group / "cpu.cfs_quota_us").write_text(str(quota))
        else:
            (group / "cpu.max").write_text(f"{quota} {_PERIOD}")
        yield group
    finally:
        group.rmdir()


def main(count: int, share: float, command: list[str]) -> int:
    job = uuid.uuid4().hex[:12]
    command = [word.replace("{job}", job) for word in command]
    with ExitStack() as until_ended:
        running: list[subprocess.Popen[bytes]] = []
        for number in range(count):
            name = f"bizon-{job}-{number}"
            group = until_ended.enter_context(limited(name, share))
            words = ["sh", "-c", _JOINED, name, str(group), *command]
            running.append(subprocess.Popen([*_HOST, *words]))
        return max(each.wait() for each in running)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]))
