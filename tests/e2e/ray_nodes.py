"""A Ray cluster of two nodes on this machine, in a process of its own, because Ray changes the process that uses it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_LONGEST = 150.0  # seconds
_CLUSTER = """
import sys
from ray.cluster_utils import Cluster
node = {"num_cpus": int(sys.argv[1]), "object_store_memory": 80_000_000}
cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
others = [cluster.add_node(**node)]
print(cluster.address, flush=True)
for line in sys.stdin:
    if line == "remove\\n":
        cluster.remove_node(others.pop(), allow_graceful=False)
        others.append(cluster.add_node(**node))
    print("done", flush=True)
cluster.shutdown()
"""


class Nodes:
    """A cluster that runs, at ``address``."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.address = self._answer()

    def lose_one(self) -> None:
        """A node with a worker disappears without a word; another one comes."""
        assert self._process.stdin is not None
        self._process.stdin.write("remove\n")
        self._process.stdin.flush()
        assert self._answer() == "done"

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@contextmanager
def cluster(cores: int = 1) -> Iterator[Nodes]:
    """Within: it runs. ``cores``: how many tasks each node takes at once."""
    environ = {**os.environ, "RAY_raylet_start_wait_time_s": "120"}
    command = [sys.executable, "-c", _CLUSTER, str(cores)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environ
    ) as process:
        try:
            yield Nodes(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(_LONGEST)
