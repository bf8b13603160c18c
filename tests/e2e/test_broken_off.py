"""A worker that ends without an ``Exception``: a failed run with a correct result file, in every runner."""

import json
from typing import TYPE_CHECKING

import commands
import pytest

if TYPE_CHECKING:
    from conftest import Pipeline

RUNNERS = ["thread", "process", "stream"]
SOURCE = """
import sys
import polars
from bizon.source.config import SourceConfig
from bizon.source.models import SourceIteration, SourceRecord
from bizon.source.source import AbstractSource

def sys_exit(): sys.exit()
def sys_exit_with_text(): sys.exit("cannot log in with S3kret-77-value")
def panic(): raise polars.exceptions.PanicException("index out of bounds")
def keyboard(): raise KeyboardInterrupt
def memory(): raise MemoryError

class Config(SourceConfig):
    how: str
    at: int = 2

class Source(AbstractSource):
    @staticmethod
    def streams(): return ["items"]
    @staticmethod
    def get_config_class(): return Config
    def get_authenticator(self): return None
    def check_connection(self):
        if self.config.at < 0: globals()[self.config.how]()
        return True, None
    def get(self, pagination=None):
        page = (pagination or {}).get("page", 0)
        if page == self.config.at: globals()[self.config.how]()
        return SourceIteration({"page": page + 1} if page < 3 else {}, [SourceRecord(id=page, data={"id": page})])
"""
NAMES = {
    "sys_exit": "SystemExit",
    "sys_exit_with_text": "SystemExit",
    "panic": "PanicException",
    "keyboard": "KeyboardInterrupt",
    "memory": "MemoryError",
}


@pytest.fixture
def broken(pipeline: "Pipeline") -> "Pipeline":
    (pipeline.folder / "breaking.py").write_text(SOURCE)
    return pipeline.set("source.source_file_path", str(pipeline.folder / "breaking.py"))


@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize("how", NAMES)
def test_a_source_that_ends_more_than_itself_fails_its_run(broken: "Pipeline", runner: str, how: str) -> None:
    """The stream runner used to end with exit code 0 and a result file that said running forever."""
    broken.source(how=how)
    failed = broken.run("--runner", runner, "--result-json", "result.json", expect=1)
    result = json.loads((broken.folder / "result.json").read_text())
    assert (result["status"], result["failure_class"], result["published"]) == ("failure", "source", False)
    assert NAMES[how] in result["error"]
    assert NAMES[how] in failed.stderr
    assert broken.jobs()[-1][0] == "failed"
    assert not (broken.folder / "out.json").exists()
    broken.source(at=99)
    resumed = broken.run("--runner", runner)
    assert "at iteration 2" in resumed.stderr, "the pages before the fault were committed"
    assert len(broken.ids()) == 4


@pytest.mark.parametrize("runner", RUNNERS)
def test_the_text_of_sys_exit_shows_no_secret(broken: "Pipeline", runner: str) -> None:
    """The process and the stream runner used to print it."""
    (broken.folder / "breaking.py").write_text(SOURCE.replace("how: str", "how: str\n    key: str"))
    broken.source(how="sys_exit_with_text", key="BIZON_ENV_KEY")
    (broken.folder / ".env").write_text("BIZON_ENV_KEY=S3kret-77-value\n")
    failed = broken.run("--runner", runner, "--result-json", "result.json", expect=1)
    assert "S3kret" not in failed.stderr + failed.stdout + (broken.folder / "result.json").read_text()


@pytest.mark.parametrize("runner", RUNNERS)
def test_a_source_that_exits_before_the_first_page_fails_its_run(broken: "Pipeline", runner: str) -> None:
    broken.source(how="sys_exit", at=-1)
    broken.run("--runner", runner, "--result-json", "result.json", expect=1)
    assert json.loads((broken.folder / "result.json").read_text())["status"] == "failure"


@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize("on_error", ["fail", "skip"])
def test_a_transform_without_memory_fails_its_run(broken: "Pipeline", runner: str, on_error: str) -> None:
    """With on_error: skip the record used to be left out, as if it were at fault."""
    broken.source(how="memory", at=99).set("on_error", on_error)
    broken.set("transforms", [{"label": "big", "python": "raise MemoryError"}])
    broken.run("--runner", runner, expect=1)
    assert broken.jobs()[-1][0] == "failed"


def test_sys_exit_in_a_transform_names_label_and_record(broken: "Pipeline") -> None:
    broken.source(how="memory", at=99).set("transforms", [{"label": "exits", "python": "import sys\nsys.exit(0)"}])
    assert "transform 'exits' failed on record '0': SystemExit" in broken.run(expect=1).stderr


@pytest.mark.parametrize("command", [("config", "validate"), ("run",)])
def test_a_source_file_that_exits_when_it_is_loaded_is_a_mistake_in_the_configuration(
    broken: "Pipeline", command: tuple[str, ...]
) -> None:
    (broken.folder / "breaking.py").write_text("import sys\nsys.exit(0)\n")
    broken.source(how="memory")
    done = commands.run(
        [*broken.command[:-2], *command, "config.yml"], cwd=broken.folder, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert "breaking.py:2: SystemExit" in done.stderr
