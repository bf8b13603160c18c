"""``--result-json``: only regular files are replaced; devices, pipes and links are written through."""

import errno
import json
import os
import pty
import stat
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from bizon.cli import result as result_module
from bizon.cli.result import ResultFile, described
from bizon.common.errors.errors import ConfigError
from bizon.engine.pipeline.models import PipelineReturnStatus
from bizon.engine.runner.models import RunnerStatus

STATUS = RunnerStatus("job-1", stream=PipelineReturnStatus.SUCCESS, published=True)


def written(path: Path) -> str:
    """The status in the file after a whole run."""
    file = ResultFile(str(path))
    file.start()
    file.finish(described(STATUS, None))
    return str(json.loads(path.read_text())["status"])


def test_a_file_says_running_until_the_end(tmp_path: Path) -> None:
    file = ResultFile(str(tmp_path / "r.json"))
    file.start()
    assert json.loads((tmp_path / "r.json").read_text())["status"] == "running"
    file.finish(described(STATUS, None))
    assert json.loads((tmp_path / "r.json").read_text())["status"] == "success"
    assert [path.name for path in tmp_path.iterdir()] == ["r.json"]


@pytest.mark.parametrize("is_there", [True, False])
def test_a_link_stays_and_its_target_is_written(tmp_path: Path, is_there: bool) -> None:
    """A link used to be replaced by a file."""
    target = tmp_path / "below" / "r.json"
    target.parent.mkdir()
    if is_there:
        target.write_text("old")
    link, further = tmp_path / "link", tmp_path / "further"
    link.symlink_to(target)
    further.symlink_to("link")
    assert written(further) == "success"
    assert (link.is_symlink(), further.is_symlink(), target.is_symlink()) == (True, True, False)


def test_a_device_stays_a_device_and_gets_the_end_alone() -> None:
    """As root, /dev/null used to become a file for every process of the machine.

    The device is a terminal of the test's own, which needs no root: with the fault back, the machine's must not suffer.
    """
    reader, terminal = pty.openpty()
    device = Path(os.ttyname(terminal))
    file = ResultFile(str(device))
    file.start()
    file.finish(described(STATUS, None))
    assert stat.S_ISCHR(device.lstat().st_mode)
    os.close(terminal)
    os.close(file._descriptor or -1)  # as the end of the process does
    read = b""
    with suppress(OSError):  # all was read, and nobody holds the terminal any more
        while some := os.read(reader, 65_536):
            read += some
    os.close(reader)
    assert json.loads(read)["status"] == "success"


def test_a_named_pipe_gets_the_end_alone(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    file = ResultFile(str(pipe))
    file.start()
    file.finish(described(STATUS, None))
    os.close(file._descriptor or -1)  # as the end of the process does
    reader.join()
    assert json.loads(read[0])["status"] == "success"
    assert stat.S_ISFIFO(os.stat(pipe).st_mode)


@pytest.mark.parametrize("number", [errno.EBUSY, errno.EACCES, errno.EROFS])
def test_a_file_that_cannot_be_replaced_is_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """A file that is a mount, as Kubernetes mounts /dev/termination-log."""

    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    (tmp_path / "r.json").write_text("x" * 10_000)
    monkeypatch.setattr(result_module.os, "replace", refuse)
    assert written(tmp_path / "r.json") == "success"
    assert [path.name for path in tmp_path.iterdir()] == ["r.json"]


@pytest.mark.parametrize("path", ["", ".", "none/r.json", "loop", "/dev/fd/987"])
def test_a_file_that_cannot_be_written_is_reported_before_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(ConfigError, match=r"^--result-json .*: cannot be written: "):
        ResultFile(path).start()


def test_the_reported_end_stays(tmp_path: Path) -> None:
    file = ResultFile(str(tmp_path / "r.json"))
    file.start()
    file.finish(described(STATUS, None))
    file.fail(KeyboardInterrupt(), "a signal, after the end")
    assert json.loads((tmp_path / "r.json").read_text())["status"] == "success"


def test_dev_stdout_is_the_stdout_of_the_command_also_when_that_is_a_file(config: Path, tmp_path: Path) -> None:
    """With a link of the test, so that a regression damages nothing else."""
    (tmp_path / "log").write_text("before\n")
    (tmp_path / "link").symlink_to("/dev/stdout")
    command = f"{sys.executable} -m bizon run {config.name} --result-json link >> log"
    assert subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, check=False).returncode == 0
    before, _, rest = (tmp_path / "log").read_text().partition("\n")
    result, end = json.JSONDecoder().raw_decode(rest)
    assert (before, result["status"]) == ("before", "success")
    assert rest[end:].strip().startswith("Pipeline finished successfully.")
    assert (tmp_path / "link").is_symlink()
