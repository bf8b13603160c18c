"""Source folders, read without importing them."""

import ast
from pathlib import Path
from textwrap import indent

import pytest

from bizon.source.discover_ast import SourceInfo, find_sources, inspect_source

PACKAGE = "bizon.connectors.sources"


@pytest.fixture
def folder(tmp_path: Path):
    """Write files below ``<name>/src`` and give their folder; importing any of them would fail."""

    def write(name: str = "shop", **files: str) -> Path:
        src = tmp_path / name / "src"
        src.mkdir(parents=True)
        for stem, text in files.items():
            path = src / f"{stem.replace('__in__', '/')}.py"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text + "\nraise RuntimeError('imported')\n")
        return src.parent

    return write


def source(streams: str, before: str = "") -> str:
    """A source file whose ``streams`` has this body."""
    header = f"import missing_package\nfrom bizon.source.source import AbstractSource\n{before}\n"
    return f"{header}class ShopSource(AbstractSource):\n    def streams():\n{indent(streams, ' ' * 8)}"


def only(folder: Path) -> SourceInfo:
    (info,) = inspect_source(folder, PACKAGE)
    return info


ENUM = """
from enum import Enum
class Streams(str, Enum):
    '''Documented.'''
    A = "a"
    B = "b"
    ALSO_B = "b"
    def method(self): ...
"""


@pytest.mark.parametrize(
    ("before", "body", "expected"),
    [
        ("", "return ['a', 'b']", ["a", "b"]),
        ("", "return ('a', 'b')", ["a", "b"]),
        ("", "return []", []),
        ("", "'''Documented.'''\nreturn ['a']", ["a"]),
        (ENUM, "return [e.value for e in Streams]", ["a", "b"]),
        (ENUM, "return [e for e in Streams]", ["a", "b"]),
        (ENUM, "return list(Streams)", ["a", "b"]),
        (ENUM, "return [Streams.A, Streams.B.value]", ["a", "b"]),
    ],
)
def test_streams_are_evaluated(folder, before, body, expected):
    assert only(folder(source=source(body, before))).streams == expected


@pytest.mark.parametrize(
    ("before", "body"),
    [
        ("", "return fetch()"),
        ("", "return [1]"),
        ("", "return 'ab'"),
        ("", "return UNDEFINED"),
        ("", "if today():\n    return ['a']\nreturn ['b']"),
        ("", "names = []\nnames.append('a')\nreturn names"),
        ("", "pass"),
        ("A = B\nB = A", "return A"),
        ("", "names = ['a']\nreturn [*names, 'b']"),
        ("", "return ['a'] + ['b']"),
        ("NAMES = ['a', 'b']", "return NAMES"),
        ("NAMES: list[str] = ['a', 'b']", "return list(NAMES)"),
        ("FIRST = 'a'\nNAMES = (FIRST, 'b')", "return [name for name in NAMES]"),
        ("PATHS = {'a': '/a', 'b': '/b'}", "return list(PATHS)"),
        ("PATHS = {'a': '/a', 'b': '/b'}", "return list(PATHS.keys())"),
        ("PATHS = {'b': '/b', 'a': '/a'}", "return sorted(PATHS)"),
        (ENUM, "return [*Streams]"),
        (ENUM, "return [*(e.value for e in Streams), 'c']"),
        (ENUM, "return [e.name for e in Streams]"),
        ("from enum import StrEnum, auto\nclass S(StrEnum):\n    ORDERS = auto()", "return list(S)"),
        ("class Names:\n    ALL = ['a', 'b']", "return Names.ALL"),
        ("NAMES = ['a']\nNAMES += ['b']", "return NAMES"),
        ("NAMES = ['a']\nif 1:\n    NAMES = ['b']", "return NAMES"),
        ("from elsewhere import Streams", "return list(Streams)"),
        (ENUM, "return [e for e in Streams if e.value != 'a']"),
        ("from enum import Enum, auto\nclass S(Enum):\n    A = auto()", "return [e.value for e in S]"),
        ("class Plain:\n    A = 'a'", "return list(Plain)"),
    ],
)
def test_streams_in_any_other_form_need_an_import(folder, before, body):
    info = only(folder(source=source(body, before)))
    assert info.streams is None
    assert info.error is None


@pytest.mark.parametrize(
    ("line", "use"),
    [
        ("from bizon.connectors.sources.shop.src.config import Streams", "Streams"),
        ("from bizon.connectors.sources.shop.src.config import Streams as S", "S"),
        ("from .config import Streams", "Streams"),
        ("from . import config", "config.Streams"),
        ("from .deep.names import Streams", "Streams"),
    ],
)
def test_an_enum_may_come_from_a_module_in_the_same_folder(folder, line, use):
    path = folder(
        source=source(f"return [e.value for e in {use}]", line),
        config=ENUM,
        deep__in____init__="",
        deep__in__names="from ..config import Streams",
    )
    assert only(path).streams == ["a", "b"]


@pytest.mark.parametrize(
    ("line", "more"),
    [
        ("from .config import Streams", {"other": ENUM}),
        ("from elsewhere import Streams", {}),
        ("import config", {}),
        ("", {}),
    ],
)
def test_an_enum_of_several_files_or_from_outside_the_folder_needs_an_import(folder, line, more):
    use = "config.Streams" if line == "import config" else "Streams"
    path = folder(source=source(f"return list({use})", line), config=ENUM.replace('"a"', '"x"'), **more)
    assert only(path).streams is None


@pytest.mark.parametrize(
    "header",
    [
        "from bizon.source.source import AbstractSource\nclass S(AbstractSource):",
        "import bizon.source.source as base\nclass S(base.AbstractSource):",
        "from bizon.source.source import AbstractSource as Base\nclass S(Base):",
        "from bizon.source.source import AbstractSource\nclass S(Mixin, AbstractSource, metaclass=M):",
        "from bizon.source.source import AbstractSource\nclass Base(AbstractSource): ...\nclass S(Base):",
        "from .base import Base\nclass S(Base):",
    ],
)
@pytest.mark.lesson("F-29")
def test_a_source_is_found_by_its_base_however_that_is_written(folder, header):
    """A base written with a dot (``module.AbstractSource``) was not recognised."""
    path = folder(
        source=f"{header}\n    def streams(): return ['a']",
        base="from bizon.source.source import AbstractSource\nclass Base(AbstractSource): ...",
    )
    info = only(path)
    assert (info.name, info.module, info.class_name) == ("shop", "bizon.connectors.sources.shop.src.source", "S")
    assert info.streams == ["a"]


BASES = """
from abc import abstractmethod
from bizon.source.source import AbstractSource
class Base(AbstractSource):
    def streams(): return ['a']
    @abstractmethod
    def path(self): ...
    def get_records_after(self, state, pagination=None): return self.fetch(state)
class Item(Base):
    def path(self): return "/"
class Other: ...
class Order(Item):
    def streams(): return ['b']
    def get_records_after(self, state, pagination=None): raise NotImplementedError("no")
"""


def test_bases_pass_on_their_methods_and_are_not_sources_while_abstract(folder):
    infos = inspect_source(folder(source=BASES), PACKAGE)
    assert [(i.class_name, i.streams, i.supports_incremental) for i in infos] == [
        ("Order", ["b"], False),
        ("Item", ["a"], True),
    ]


@pytest.mark.parametrize(
    ("body", "supported"),
    [
        ("return self.get(pagination)", True),
        ("'''Documented.'''\nreturn self.get(pagination)", True),
        ("raise ValueError", True),
        ("pass", False),
        ("...", False),
        ("'''Not yet.'''", False),
        ("raise NotImplementedError", False),
        ("'''Not yet.'''\nraise NotImplementedError('later')", False),
    ],
)
def test_incremental_needs_more_than_a_stub(folder, body, supported):
    method = f"\n    def get_records_after(self, state, pagination=None):\n{indent(body, ' ' * 8)}\n"
    text = source("return ['a']") + method
    assert only(folder(source=text)).supports_incremental is supported


def test_without_get_records_after_a_source_is_not_incremental(folder):
    assert only(folder(source=source("return ['a']"))).supports_incremental is False


def test_a_syntax_error_is_reported_with_its_line(folder):
    info = only(folder(source="x = 1\ndef broken(:\n"))
    assert info.error is not None
    assert "source.py:2: " in info.error
    assert (info.name, info.streams) == ("shop", None)


def test_a_file_that_no_source_needs_is_checked_and_not_parsed(folder, monkeypatch):
    """Parsing all files of all sources took half the time of `bizon source list`."""
    parsed: list[str] = []
    parse = ast.parse
    monkeypatch.setattr(ast, "parse", lambda text, filename: parsed.append(Path(filename).stem) or parse(text))
    shop = folder(
        base=source("raise NotImplementedError").replace("ShopSource", "Base"),
        shop="from . import base, names\nclass Shop(base.Base):\n    def streams(): return list(names.Streams)",
        names=ENUM,
        unused="x = 1",
    )
    assert {info.class_name for info in inspect_source(shop, PACKAGE)} == {"Base", "Shop"}
    assert sorted(parsed) == ["base", "names", "shop"]
    (shop / "src" / "unused.py").write_text("def broken(:")
    assert "unused.py:1: " in only(shop).error


def test_a_file_that_is_not_text_is_reported(folder):
    path = folder(source="")
    (path / "src" / "source.py").write_bytes(b"\x00\xff")
    assert "source.py:1" in only(path).error


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("class Thing: ...", "no class in it extends AbstractSource"),
        ("class Half(AbstractSource): ...", "Half must define streams()"),
    ],
)
def test_a_folder_without_a_usable_class_says_what_is_there(folder, text, expected):
    assert expected in only(folder(source=text)).error


@pytest.mark.parametrize("text", ["class A(A): ...", "class A(B): ...\nclass B(A): ...", "class A(A.B): ..."])
def test_circular_base_classes_are_handled(folder, text):
    assert "extends AbstractSource" in only(folder(source=text)).error


@pytest.mark.parametrize("path", ["source.py", "more.py"])
def test_a_folder_is_read_again_when_a_file_in_it_was_changed(folder, path):
    shop = folder(source=source("return ['a']"), more="x = 1")
    assert only(shop).streams == ["a"]
    (shop / "src" / path).write_text("class Broken(:")
    assert only(shop).error.startswith(f"{shop / 'src' / path}:1: ")


def test_a_reader_that_changes_its_answer_changes_no_other_one(folder):
    shop = folder(source=source("return ['a']"))
    inspect_source(shop, PACKAGE).clear()
    assert only(shop).streams == ["a"]


def test_every_folder_with_src_is_a_source_in_order_of_names(folder, tmp_path):
    folder("zoo", source=source("return ['a']"))
    folder("ark", source=source("return ['a']"))
    (tmp_path / "no_src").mkdir()
    (tmp_path / "file.py").touch()
    infos = find_sources(tmp_path, PACKAGE)
    assert [(info.name, info.module) for info in infos] == [
        ("ark", f"{PACKAGE}.ark.src.source"),
        ("zoo", f"{PACKAGE}.zoo.src.source"),
    ]
