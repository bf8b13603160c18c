"""Helpers of custom source files: each folder has its own, under any name."""

import importlib
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import pytest

from bizon.common.errors.errors import ConfigError
from bizon.source.discover import load_custom_source, streams_of

HEADER = "from bizon.source.config import SourceConfig\nfrom bizon.source.source import AbstractSource\n"
SOURCE = """
class MySource(AbstractSource):
    @staticmethod
    def streams(): return {streams}
    @staticmethod
    def get_config_class(): return SourceConfig
    def get_authenticator(self): return None
    def check_connection(self): return True, None
    def get(self, pagination=None): ...
"""
IMPORTS = {
    "plain": ("import client", "client.ROWS"),
    "plain, renamed": ("import client as other", "other.ROWS"),
    "from": ("from client import ROWS", "ROWS"),
    "all": ("from client import *", "ROWS"),
    "relative": ("from . import client", "client.ROWS"),
    "relative, from": ("from .client import ROWS", "ROWS"),
    "module of a package": ("import parts.deep", "parts.deep.ROWS"),
    "module of a package, renamed": ("import parts.deep as deep", "deep.ROWS"),
    "module from a package": ("from parts import deep", "deep.ROWS"),
    "package that imports the other": ("from parts.outward import ROWS", "ROWS"),
    "folder without __init__": ("from loose.deep import ROWS", "ROWS"),
    "late": ("def rows():\n    import client\n    return client.ROWS", "rows()"),
    "by name": ("from importlib import import_module", "import_module('.client', __package__).ROWS"),
}


@pytest.fixture(autouse=True)
def _imports_as_before():
    path, modules = list(sys.path), dict(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - set(modules):
        del sys.modules[name]
    sys.modules.update(modules)


@pytest.fixture
def folder(tmp_path: Path):
    def folder(name: str, statement: str = "import client", streams: str = "client.ROWS") -> Path:
        files = {
            "client.py": f"ROWS = ['{name}']\nclass Thing:\n    value = '{name}'\n",
            "parts/__init__.py": "",
            "parts/deep.py": f"ROWS = ['{name}']\n",
            "parts/outward.py": "from client import ROWS\n",
            "loose/deep.py": f"ROWS = ['{name}']\n",
            "source.py": f"{HEADER}{statement}\n{SOURCE.format(streams=streams)}",
        }
        for path, text in files.items():
            file = tmp_path / name / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return tmp_path / name / "source.py"

    return folder


@pytest.mark.parametrize(("statement", "streams"), IMPORTS.values(), ids=IMPORTS)
def test_each_source_has_the_helpers_of_its_own_folder(folder, statement, streams):
    """The second source got the helpers of the first, and delivered its rows."""
    before = set(sys.modules)
    one, two = (load_custom_source(folder(name, statement, streams)) for name in ("one", "two"))
    assert (streams_of(one), streams_of(two)) == (["one"], ["two"])
    assert not {"client", "parts", "loose", "source"} & (set(sys.modules) - before)


def test_nothing_is_added_to_the_search_path(folder):
    before = list(sys.path)
    load_custom_source(folder("one"))
    assert sys.path == before


@pytest.mark.parametrize("known", ["loaded", "on the path"])
def test_a_module_of_the_same_name_elsewhere_is_not_taken(folder, tmp_path, known, monkeypatch):
    """A module of the program that calls bizon: an Airflow folder, a test."""
    (tmp_path / "client.py").write_text("ROWS = ['foreign']")
    monkeypatch.syspath_prepend(tmp_path)
    if known == "loaded":
        monkeypatch.setitem(sys.modules, "client", ModuleType("client"))
    assert streams_of(load_custom_source(folder("one"))) == ["one"]


def test_a_module_outside_the_folder_is_found_on_the_path(folder, tmp_path, monkeypatch):
    (tmp_path / "shared_client.py").write_text("ROWS = ['shared']")
    monkeypatch.syspath_prepend(tmp_path)
    path = folder("one", "import shared_client", "shared_client.ROWS")
    assert streams_of(load_custom_source(path)) == ["shared"]
    assert "shared_client" in sys.modules


@pytest.mark.parametrize("name", ["requests", "json"])
def test_a_file_that_is_named_after_a_library_does_not_hide_it(folder, name):
    path = folder("one", f"import {name}", f"[{name}.__name__]")
    (path.parent / f"{name}.py").write_text("raise RuntimeError('hidden')")
    assert streams_of(load_custom_source(path)) == [name]


def test_a_source_that_is_named_after_the_library_it_uses_finds_the_library(folder):
    path = folder("one", "import requests", "[requests.__name__]")
    assert streams_of(load_custom_source(path.rename(path.with_name("requests.py")))) == ["requests"]


def test_a_module_that_is_missing_is_named_without_the_package(folder):
    path = folder("one", "import parts.gone", "[]")
    with pytest.raises(ConfigError, match=r"source\.py:3: ModuleNotFoundError: No module named 'parts\.gone'; install"):
        load_custom_source(path)


def test_a_helper_is_executed_once_for_all_sources_of_its_folder(folder):
    path = folder("one")
    other = path.with_name("other.py")
    other.write_text(path.read_text())
    first, second = load_custom_source(path), load_custom_source(other)
    assert sys.modules[first.__module__].client is sys.modules[second.__module__].client


def test_a_fixed_helper_is_reloaded(folder):
    path = folder("one", "from client import LATER", "LATER")
    with pytest.raises(ConfigError, match=r"source\.py:3: ImportError: cannot import name 'LATER'"):
        load_custom_source(path)
    (path.parent / "client.py").write_text("LATER = ['fixed, and longer than before, so that it is compiled again']\n")
    assert streams_of(load_custom_source(path))[0].startswith("fixed")


def test_objects_of_a_helper_pickle_and_load_in_another_process(folder):
    path = folder("one")
    source_class = load_custom_source(path)
    pickled = pickle.dumps((source_class, sys.modules[source_class.__module__].client.Thing()))
    code = (
        "import pickle, sys; from bizon.source.discover import load_custom_source; "
        f"load_custom_source({str(path)!r}); "
        "source, thing = pickle.loads(sys.stdin.buffer.read()); print(source.streams(), thing.value)"
    )
    done = subprocess.run([sys.executable, "-c", code], input=pickled, capture_output=True, check=True)
    assert done.stdout.decode().split() == ["['one']", "one"]


def test_sources_are_loaded_on_several_threads_at_once(folder):
    paths = [folder(f"f{number}") for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        loaded = list(pool.map(lambda path: streams_of(load_custom_source(path)), paths * 4))
    assert loaded == [[path.parent.name] for path in paths] * 4


def test_a_folder_that_is_reached_by_a_link_is_the_same(folder, tmp_path):
    path = folder("one")
    (tmp_path / "link").symlink_to(path.parent)
    assert load_custom_source(tmp_path / "link/source.py") is load_custom_source(path)


def test_the_module_can_be_imported_by_its_name(folder):
    source_class = load_custom_source(folder("one"))
    assert importlib.import_module(source_class.__module__).MySource is source_class
