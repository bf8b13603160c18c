"""From a name or a file to a source class."""

import os
import pickle
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest
from loguru import logger

from bizon.common.errors.errors import ConfigError, MissingDependencyError
from bizon.connectors.sources.dummy.src.source import DummySource
from bizon.source import discover
from bizon.source.config import SourceConfig
from bizon.source.discover import (
    list_sources,
    load_custom_source,
    load_source,
    resolve_source_class,
    streams_of,
    validate_stream,
)
from bizon.source.source import AbstractSource

MEMBERS = """
    @staticmethod
    def streams(): return [{streams}]
    @staticmethod
    def get_config_class(): return SourceConfig
    def get_authenticator(self): return None
    def check_connection(self): return True, None
    def get(self, pagination=None): ...
"""
HEADER = "from bizon.source.config import SourceConfig\nfrom bizon.source.source import AbstractSource\n"


def class_text(name: str = "MySource", streams: str = "'items'", base: str = "AbstractSource", extra: str = "") -> str:
    return f"class {name}({base}):{MEMBERS.format(streams=streams)}{extra}\n"


@pytest.fixture(autouse=True)
def _imports_as_before():
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


@pytest.fixture
def write(tmp_path: Path):
    def write(text: str, name: str = "my_source.py") -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


@pytest.fixture
def built_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Write source folders into an importable package that stands for the built-in sources."""
    package = f"sources_{abs(hash(tmp_path))}"
    root = tmp_path / package
    root.mkdir()
    monkeypatch.setattr(discover, "SOURCES_ROOT", root)
    monkeypatch.setattr(discover, "SOURCES_PACKAGE", package)
    monkeypatch.syspath_prepend(tmp_path)

    def write(name: str, **files: str) -> None:
        (root / name / "src").mkdir(parents=True)
        for stem, text in files.items():
            (root / name / "src" / f"{stem}.py").write_text(HEADER + text)

    write.package = package
    return write


def config(stream: str = "items", **keys) -> SourceConfig:
    return SourceConfig(name="mine", stream=stream, **keys)


# --- built-in sources -------------------------------------------------------------------------------------------------


def test_the_dummy_source_is_listed_with_its_streams():
    (info,) = [info for info in list_sources() if info.name == "dummy"]
    assert (info.class_name, info.streams, info.error) == ("DummySource", ["creatures", "plants"], None)
    assert not info.supports_incremental


def test_every_listed_source_is_usable():
    assert [info.error for info in list_sources() if info.error] == []


def test_listing_imports_no_connector():
    code = (
        "import sys; from bizon.source.discover import list_sources; list_sources(); "
        "print([name for name in sys.modules if name.startswith('bizon.connectors')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_source_is_loaded_by_name():
    assert load_source("dummy") is DummySource
    assert load_source("dummy", "plants") is DummySource


def test_an_unknown_source_is_an_error_with_the_nearest_name():
    with pytest.raises(ConfigError, match=r"no source 'dumy'; did you mean 'dummy'\? \(available sources: .*dummy"):
        load_source("dumy")


@pytest.mark.parametrize("name", ["../dummy", "dummy.src", ""])
def test_a_name_is_never_a_path(name):
    with pytest.raises(ConfigError, match="there is no source"):
        load_source(name)


def test_an_unknown_stream_is_an_error_with_the_nearest_one():
    with pytest.raises(ConfigError, match=r"no stream 'plant'; did you mean 'plants'\? \(available.*creatures, plants"):
        load_source("dummy", "plant")


def test_loading_imports_the_one_module(built_in):
    built_in("shop", source=class_text(), other="raise RuntimeError('imported')")
    built_in("zoo", source="raise RuntimeError('imported')\n" + class_text())
    assert load_source("shop").__name__ == "MySource"


def test_the_class_with_the_stream_is_loaded(built_in):
    built_in("shop", source=class_text("A", "'a'"), more=class_text("B", "'b'"), dyn=class_text("C", "'c'.lower()"))
    assert [load_source("shop", stream).__name__ for stream in "abc"] == ["A", "B", "C"]
    with pytest.raises(ConfigError, match=r"no stream 'd' \(available streams: a, c, b\)"):
        load_source("shop", "d")


def test_a_missing_package_names_the_extra(built_in):
    built_in("shop", source="import package_that_is_not_there\n" + class_text())
    with pytest.raises(MissingDependencyError, match=r"pip install 'bizon\[shop\]'") as caught:
        load_source("shop")
    assert caught.value.extra == "shop"
    assert "package_that_is_not_there" in str(caught.value)


@pytest.mark.parametrize("line", ["import bizon.no_such_module", "from bizon.source import nothing", "1 / 0"])
def test_a_broken_connector_is_not_a_missing_package(built_in, line):
    built_in("shop", source=f"{line}\n" + class_text())
    with pytest.raises(ConfigError, match="source 'shop' cannot be imported"):
        load_source("shop")


def test_a_connector_with_a_syntax_error_names_file_and_line(built_in):
    built_in("shop", source="def broken(:\n")
    with pytest.raises(ConfigError, match=r"source 'shop' cannot be used: .*source\.py:3: "):
        load_source("shop")


# --- custom sources ---------------------------------------------------------------------------------------------------


@pytest.mark.lesson("F-29")
def test_a_custom_source_with_a_dotted_base_is_found(write):
    """It was reported as "Available streams are []"."""
    text = class_text(base="base.AbstractSource")
    path = write(f"import bizon.source.source as base\nfrom bizon.source.config import SourceConfig\n{text}")
    assert streams_of(load_custom_source(path, "items")) == ["items"]


@pytest.mark.lesson("F-29")
def test_a_custom_file_is_executed_once(write, tmp_path):
    """It was executed once per class in it, and again for each instance."""
    count = f"with open({str(tmp_path / 'count')!r}, 'a') as file: file.write('x')\n"
    path = write(HEADER + count + class_text("A", "'a'") + class_text("B", "'b'"))
    first, again = load_custom_source(path, "a"), load_custom_source(str(path), "a")
    other = load_custom_source(path.parent / "." / path.name, "b")
    assert (tmp_path / "count").read_text() == "x"
    assert first is again
    assert other.__module__ == first.__module__


@pytest.mark.lesson("F-29")
def test_objects_of_a_custom_file_pickle_and_load_in_another_process(write):
    """Its module was not in sys.modules, so nothing defined in it could be pickled."""
    path = write(HEADER + class_text() + "class Thing:\n    value = 42\n")
    source_class = load_custom_source(path)
    module = sys.modules[source_class.__module__]
    pickled = pickle.dumps((source_class, module.Thing()))
    code = (
        "import pickle, sys; from bizon.source.discover import load_custom_source; "
        f"load_custom_source({str(path)!r}); "
        "source, thing = pickle.loads(sys.stdin.buffer.read()); print(source.streams(), thing.value)"
    )
    done = subprocess.run([sys.executable, "-c", code], input=pickled, capture_output=True, check=True)
    assert done.stdout.decode().split() == ["['items']", "42"]


@pytest.mark.lesson("F-29")
def test_a_custom_file_may_import_the_modules_of_its_folder(write):
    write("STREAM = 'near'", "beside_my_source.py")
    path = write(HEADER + "from beside_my_source import STREAM\n" + class_text(streams="STREAM"))
    search_path = list(sys.path)
    assert streams_of(load_custom_source(path)) == ["near"]
    assert sys.path == search_path
    assert "beside_my_source" not in sys.modules


def test_two_files_of_the_same_name_are_two_modules(tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "my-source.py").write_text(HEADER + class_text(streams=f"'{folder}'"))
    one, two = (load_custom_source(tmp_path / folder / "my-source.py") for folder in ("one", "two"))
    assert (streams_of(one), streams_of(two)) == (["one"], ["two"])
    assert one.__module__ != two.__module__
    assert one.__module__.startswith("bizon_custom_source_one_")


def test_a_relative_path_starts_at_the_working_directory(write, monkeypatch):
    path = write(HEADER + class_text())
    monkeypatch.chdir(path.parent)
    assert load_custom_source(path.name) is load_custom_source(path)


def test_the_most_derived_class_is_preferred(write):
    path = write(HEADER + class_text("Parent") + class_text("Child", base="Parent"))
    assert load_custom_source(path, "items").__name__ == "Child"


def test_an_imported_source_class_is_not_a_source_of_the_file(write):
    path = write("from bizon.connectors.sources.dummy.src.source import DummySource\n")
    with pytest.raises(ConfigError, match=r"no class in it extends .*found: no classes at all"):
        load_custom_source(path)


def test_a_stream_that_is_not_offered_lists_what_is(write):
    path = write(HEADER + class_text("A", "'users'") + class_text("B", "'orders'"))
    with pytest.raises(ConfigError, match=r"no stream 'order'; did you mean 'orders'\? .*users, orders"):
        load_custom_source(path, "order")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("class Thing: ...\nclass Other: ...", "found: Thing, Other"),
        ("", "found: no classes at all"),
        (
            HEADER + "class Half(AbstractSource):\n    def get(self, pagination=None): ...",
            "Half lacks check_connection, ",
        ),
        ("x = 1\ndef broken(:\n", "my_source.py:2: SyntaxError"),
        ("x = 1\n\nraise ValueError('wrong\\n  place')", "my_source.py:3: ValueError: wrong place"),
        ("import sys\nsys.exit(3)", "my_source.py:2: SystemExit: 3"),
        ("import package_that_is_not_there", "my_source.py:1: ModuleNotFoundError: .*install it"),
        ("def inner():\n    return 1 / 0\n\ninner()", "my_source.py:2: ZeroDivisionError"),
    ],
)
def test_a_file_without_a_usable_source_says_why(write, text, expected):
    path = write(text)
    with pytest.raises(ConfigError, match=expected):
        load_custom_source(path)


def test_a_file_that_failed_leaves_no_trace_and_can_be_fixed(write):
    path, search_path = write("1 / 0"), list(sys.path)
    with pytest.raises(ConfigError):
        load_custom_source(path)
    assert not [name for name in sys.modules if name.startswith("bizon_custom_source_my_source")]
    assert sys.path == search_path
    write(HEADER + class_text() + "# longer than before\n")
    assert load_custom_source(path).__name__ == "MySource"


@pytest.mark.parametrize(
    ("name", "expected"), [("gone.py", "does not exist"), ("source.txt", "extension .py"), ("", "is a folder")]
)
def test_a_path_that_is_not_a_python_file_is_an_error(tmp_path, name, expected):
    (tmp_path / "source.txt").touch()
    with pytest.raises(ConfigError, match=expected):
        load_custom_source(tmp_path / name)


def test_the_file_path_of_the_config_decides_between_custom_and_built_in(write):
    path = write(HEADER + class_text())
    assert resolve_source_class(config(source_file_path=str(path))).__name__ == "MySource"
    assert resolve_source_class(SourceConfig(name="dummy", stream="plants")) is DummySource


@pytest.mark.lesson("F-47")
def test_loading_leaves_environment_and_log_sinks_alone(write):
    environment, sinks = dict(os.environ), set(logger._core.handlers)
    load_source("dummy")
    load_custom_source(write(HEADER + class_text()))
    assert dict(os.environ) == environment
    assert set(logger._core.handlers) == sinks


# --- abilities of a stream --------------------------------------------------------------------------------------------


def make_class(write, extra: str = "", streams: str = "'items'") -> type[AbstractSource]:
    return load_custom_source(
        write(HEADER + "from enum import Enum\n" + class_text(streams=streams, extra=dedent(extra)))
    )


AFTER = "    def get_records_after(self, source_state, pagination=None):\n        {body}\n"


def test_a_configured_stream_that_is_offered_is_valid(write):
    validate_stream(make_class(write), config())


def test_a_configured_stream_that_is_not_offered_is_an_error(write):
    with pytest.raises(ConfigError, match=r"source 'mine' has no stream 'item'; did you mean 'items'\?"):
        validate_stream(make_class(write), config("item"))


def test_any_stream_is_valid_where_the_connection_decides(write, built_in):
    source_class = load_custom_source(write(HEADER + class_text("A", "'*'")), "public.orders")
    validate_stream(source_class, config("public.orders"))
    built_in("shop", source=class_text("Shop", "'*'"))
    assert load_source("shop", "any.table").__name__ == "Shop"


@pytest.mark.lesson("F-13")
@pytest.mark.parametrize("body", [None, "pass", "'''Later.'''", "raise NotImplementedError"])
def test_incremental_without_get_records_after_is_an_error(write, body):
    """The first run succeeded, the second one hung."""
    text = HEADER + class_text(extra=AFTER.format(body=body) if body else "")
    with pytest.raises(ConfigError, match=r"source 'mine' does not support sync_mode incremental.*full_refresh"):
        validate_stream(load_custom_source(write(text)), config(sync_mode="incremental"))


@pytest.mark.lesson("F-13")
def test_incremental_with_get_records_after_is_valid(write):
    text = HEADER + class_text(extra=AFTER.format(body="return self.get(pagination)"))
    validate_stream(load_custom_source(write(text)), config(sync_mode="incremental"))


def test_a_source_made_without_a_file_may_be_incremental(write):
    base = make_class(write)
    made = type("Made", (base,), {"get_records_after": eval("lambda self, state, pagination=None: None")})
    validate_stream(made, config(sync_mode="incremental"))


def test_streams_may_be_members_of_an_enum(write):
    text = HEADER + "from enum import Enum\nclass S(Enum):\n    A = 'a'\n" + class_text(streams="S.A")
    assert streams_of(load_custom_source(write(text), "a")) == ["a"]


@pytest.mark.parametrize("streams", ["1 / 0", "*None"])
def test_streams_that_fail_name_the_class(write, streams):
    with pytest.raises(ConfigError, match=r"streams\(\) of MySource failed"):
        load_custom_source(write(HEADER + class_text(streams=streams)), "items")
