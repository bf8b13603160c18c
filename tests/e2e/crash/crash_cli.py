"""The bizon command, killed at a point: ``python crash_cli.py POINT[:N] run config.yml``, the Nth time it is passed.

In the order of a run; points about a file are passed once for the output and once for its dead letters:

| point            | the run dies by SIGKILL                                                          |
|------------------|----------------------------------------------------------------------------------|
| before_prepare   | nothing on the disk has changed                                                  |
| before_claim     | a file is about to be claimed                                                    |
| after_claim      | the manifest names this start, owner.json does not                               |
| after_announce   | owner.json names this process; in a stream it holds what is committed            |
| before_cut       | a stream: an output is claimed, and holds more than what is committed            |
| after_seal       | the lines of the start before have their last name, and are not cut yet          |
| after_trim       | staging holds what is committed; with after_cut: an output of a stream does      |
| after_prepare    | the output is ready to be written to                                             |
| after_note       | a stream: the journal has the next append, nothing of it is written              |
| appending        | a stream: as after_note, and both files are open                                 |
| part_written     | a stream: a part is on disk under a temporary name                               |
| after_write      | the destination has written a batch, its cursor is not recorded                  |
| after_receipt    | the destination has given its receipt, its cursor is not recorded                |
| after_cursor     | the cursor is recorded, the queue does not know                                  |
| after_verify     | staging was compared with the receipts, nothing is published                     |
| before_finalize  | all is committed, nothing is published                                           |
| ready_torn       | the new output is put together, half of it is on disk                            |
| after_ready      | the new output is put together                                                   |
| after_publishing | the manifest says publishing                                                     |
| before_replace   | as after_publishing, in the last moment before the new output takes its place    |
| after_replace    | the new output is in place, the manifest does not say so                         |
| after_published  | the manifest says published, the parts are still there                           |
| discarding       | what was staged is being removed; with N = 2 one part is gone                    |
| after_discard    | what was staged is gone; the first time is in prepare of a job that is new       |
| after_watermark  | the state knows which output was published                                       |
| before_success   | all is published, the job is not SUCCEEDED                                       |
| after_success    | the job is SUCCEEDED, the lease is still held                                    |
| random           | before the Nth fsync, replace or unlink                                          |
| after_upload     | BigQuery: an object is in the bucket, its load job was not started               |
| after_load       | BigQuery: a load job is done, nobody knows                                       |
| after_append     | BigQuery: rows are appended to the staging table, nobody knows                   |
| after_publishing_job | BigQuery: the job that publishes is done, nobody knows                       |
| removing         | BigQuery: staging is about to be removed                                         |
| before_commit    | DuckDB, Postgres: the Nth transaction is about to be committed                   |
| after_commit     | DuckDB: it is committed, nobody knows                                            |

The whole process group dies, and the command must lead it; ``POINT@self`` kills only the process that passes the
point, which with the process runner may be a child. ``POINT@frozen`` stops the group there by SIGSTOP, until
SIGCONT. The code that runs is the shipped one; the hook is ``hook/points.py``.
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
    if scope == "frozen":
        found["CRASH_FREEZES"] = "1"
    return found


def main(point: str, *arguments: str) -> None:
    if os.getpgrp() != os.getpid():
        os.setpgid(0, 0)
    os.execve(sys.executable, [sys.executable, "-m", "bizon", *arguments], environment(point))


if __name__ == "__main__":
    main(*sys.argv[1:])
