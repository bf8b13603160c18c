"""No output stream makes a command fail: closed streams, a full disk, a pipe without a reader, old encodings.

New processes, by ``subprocess``: these tests are about the streams of a process that starts.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

BIZON = f"{sys.executable} -m bizon"
RUN = f"{BIZON} run pipe.yml --result-json result.json"
BOUND = 60  # seconds; reached only when something hangs


@pytest.fixture
def folder(config: Path) -> Path:
    """A pipeline that writes, with names that ASCII and Latin-1 lack."""
    block = yaml.safe_load(config.read_text())
    block |= {"name": "日本", "destination": {"name": "file", "config": {"destination_id": "出力"}}}
    config.write_text(yaml.safe_dump(block, allow_unicode=True), encoding="utf-8")
    return config.parent


def shell(folder: Path, command: str, **variables: str) -> subprocess.CompletedProcess[bytes]:
    environ = {**os.environ, **variables}
    return subprocess.run(["bash", "-c", command], cwd=folder, env=environ, capture_output=True, timeout=BOUND)


CASES = {
    "stdout is Latin-1": (RUN, {"PYTHONIOENCODING": "latin-1"}),
    "stdout is closed": (f"{RUN} >&-", {}),
    "stderr is closed": (f"{RUN} 2>&-", {}),
    "all three are closed": (f"{RUN} <&- >&- 2>&-", {}),
    "stdout is full": (f"{RUN} >/dev/full", {}),
    "stderr is full": (f"{RUN} 2>/dev/full", {}),
    "stderr has lost its reader": (f"{RUN} 2> >(true)", {}),
    "locale C without UTF-8 mode": (RUN, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}),
}


@pytest.mark.matrix(share=3)
@pytest.mark.parametrize(
    ("case", "runner"),
    [*((case, "thread") for case in CASES), ("all three are closed", "process"), ("stderr is full", "process")],
)
def test_a_published_run_is_a_success_wherever_its_output_goes(folder: Path, case: str, runner: str) -> None:
    command, variables = CASES[case]
    command = command.replace(" --result", f" --runner {runner} --result", 1)
    done = shell(folder, command, **variables)
    assert (done.returncode, b"Traceback" in done.stderr) == (0, False), done.stderr
    assert json.loads((folder / "result.json").read_text())["status"] == "success"
    assert len((folder / "出力.json").read_text().splitlines()) == 5


def test_a_name_that_the_encoding_lacks_is_shown_escaped(folder: Path) -> None:
    assert b"/\\u51fa\\u529b.json\n" in shell(folder, RUN, PYTHONIOENCODING="latin-1").stdout


def test_no_file_of_the_run_takes_the_place_of_a_closed_stream(folder: Path) -> None:
    """A file of the run would get number 2, and everything that a library writes to stderr would go into it."""
    (folder / "loud.py").write_text(
        "import os\nfrom bizon.connectors.sources.dummy.src.source import DummySource\n"
        "class Loud(DummySource):\n"
        "    def get(self, pagination=None):\n"
        "        os.write(1, b'GARBAGE')\n        os.write(2, b'GARBAGE')\n        return super().get(pagination)\n"
    )
    assert shell(folder, f"{RUN} --custom-source loud.py <&- >&- 2>&-").returncode == 0
    found = [path for path in folder.rglob("*") if path.is_file() and path.name != "loud.py"]
    assert not [path for path in found if b"GARBAGE" in path.read_bytes() and path.suffix != ".pyc"]


@pytest.mark.parametrize("command", ["config schema", "--help", "--version", "source list"])
def test_a_command_that_is_all_output_fails_on_a_full_disk_without_a_traceback(folder: Path, command: str) -> None:
    done = shell(folder, f"{BIZON} {command} >/dev/full")
    assert done.returncode == 1
    assert b"No space left on device" in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_mistake_is_exit_code_2_also_when_nobody_can_read_it(folder: Path) -> None:
    (folder / "pipe.yml").write_text("nam: x\n")
    for streams in ("2>&-", "2>/dev/full", ">&- 2>&-"):
        assert shell(folder, f"{RUN} {streams}").returncode == 2
