"""The bizon command, killed at a point: ``python crash_cli.py POINT[:N] run config.yml``, the Nth time it is passed.

| point            | the run dies by SIGKILL                                                          |
|------------------|----------------------------------------------------------------------------------|
| after_write      | the destination has written a batch, its cursor is not recorded                  |
| after_cursor     | the cursor is recorded, the queue does not know                                  |
| before_finalize  | all is committed, nothing is published                                           |
| ready_torn       | the new output is put together, half of it is on disk                            |
| after_publishing | the manifest says publishing                                                     |
| before_replace   | as after_publishing, in the last moment before the new output takes its place    |
| after_replace    | the new output is in place, the manifest does not say so                         |
| after_published  | the manifest says published, the parts are still there                           |
| discarding       | what was staged is being removed; with N = 2 one part is gone                    |
| before_success   | all is published, the job is not SUCCEEDED                                       |
| after_success    | the job is SUCCEEDED, the lease is still held                                    |
| random           | before the Nth fsync, replace or unlink                                          |
| after_upload     | BigQuery: an object is in the bucket, its load job was not started               |
| after_load       | BigQuery: a load job is done, nobody knows                                       |
| after_append     | BigQuery: rows are appended to the staging table, nobody knows                   |
| after_publishing_job | BigQuery: the job that publishes is done, nobody knows                       |
| removing         | BigQuery: staging is about to be removed                                         |

The whole process group dies, which the command has to lead; ``POINT@self`` kills only the process that passes the
point, which with the process runner may be a child. The code that runs is the shipped one; the hook is
``hook/sitecustomize.py``.
"""

import os
import sys
from pathlib import Path

HOOK = Path(__file__).with_name("hook")


def environment(point: str) -> dict[str, str]:
    """The environment that brings the hook into this process and into the children it spawns."""
    name, _, scope = point.partition("@")
    paths = [str(HOOK), *filter(None, [os.environ.get("PYTHONPATH")])]
    found = {**os.environ, "CRASH_AT": name, "PYTHONPATH": os.pathsep.join(paths)}
    if scope != "self":
        found["CRASH_GROUP"] = "own"
    return found


def main(point: str, *arguments: str) -> None:
    if os.getpgrp() != os.getpid():
        os.setpgid(0, 0)
    os.execve(sys.executable, [sys.executable, "-m", "bizon", *arguments], environment(point))


if __name__ == "__main__":
    main(*sys.argv[1:])
