"""Modules of a user's files: each folder is a private package, so that two connectors never share a helper.

A file ``shop/source.py`` is the module ``bizon_custom_source_shop_<digest of the folder>.source``, and ``client.py``
in the same folder is ``bizon_custom_source_shop_<digest>.client``. Code of that package imports it by
``from . import client`` or plain ``import client``. ``sys.path`` and other modules named ``client`` do not matter.

A plain name is searched in this order: the standard library and installed packages, the folder of the file, the rest of
``sys.path``. Not supported: ``importlib.import_module("client")``, which does not know its caller. Use the relative
form instead, ``import_module(".client", __package__)``.
"""

import builtins
import hashlib
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from enum import Enum, auto
from importlib import invalidate_caches
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

_PREFIX = "bizon_custom_source_"
_NEVER_PRIVATE = sys.stdlib_module_names | {"bizon"}
_INSTALLED = ("site-packages", "dist-packages")
_folders: dict[str, str] = {}  # by package
_files: dict[str, Path] = {}  # the files by module; their helpers are found by name


class _Home(Enum):
    """Where the module of a plain name is."""

    PRIVATE = auto()  # in the folder of the package
    SHARED = auto()  # installed, or elsewhere on ``sys.path``
    NOWHERE = auto()


def module_name(file: Path) -> str:
    """Register a file, and return the name under which it can be imported. ``file``: an absolute path."""
    folder = file.parent.resolve()
    package = f"{_PREFIX}{_identifier(folder.name)}_{_digest(str(folder))}"
    stem = _identifier(file.stem)
    name = f"{package}.{stem}" if stem == file.stem else f"{package}.{stem}_{_digest(file.name)}"
    _folders[package] = str(folder)
    _files.setdefault(name, file)
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())  # before the finder that uses the path of a package
    return name


def package_of(name: str) -> str:
    """The private package of a module."""
    return name.partition(".")[0]


def loaded_modules(package: str) -> set[str]:
    """The loaded modules of a private package."""
    return {name for name in list(sys.modules) if package_of(name) == package}


def unload(modules: set[str]) -> None:
    """Forget the modules of a file that failed to load, so that the next attempt reads its files again."""
    for name in modules:
        parent, _, attribute = name.rpartition(".")
        if parent in sys.modules:
            vars(sys.modules[parent]).pop(attribute, None)
        sys.modules.pop(name, None)
    invalidate_caches()


def _identifier(text: str) -> str:
    return re.sub(r"\W", "_", text)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


class _Finder(MetaPathFinder):
    """Finds the private packages and their modules only."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith(_PREFIX):
            return None
        if fullname in _folders:
            spec = ModuleSpec(fullname, None, is_package=True)
            spec.submodule_search_locations = [_folders[fullname]]
            return spec
        file = _files.get(fullname)
        found = PathFinder.find_spec(fullname, path) if file is None else spec_from_file_location(fullname, file)
        if found is not None and isinstance(found.loader, SourceFileLoader):
            found.loader = _Loader(fullname, found.loader.path)
        return found


class _Loader(SourceFileLoader):
    """Executes a file of a private package with its own ``import``."""

    def exec_module(self, module: ModuleType) -> None:
        package = package_of(module.__name__)
        vars(module)["__builtins__"] = {**vars(builtins), "__import__": _import_of(package)}
        super().exec_module(module)


def _import_of(package: str) -> Callable[..., ModuleType]:
    """The ``__import__`` of the modules of a private package; same parameters as ``builtins.__import__``."""
    known: dict[str, _Home] = {}

    def is_private(top: str) -> bool:
        home = known.get(top) or _home_of(package, top)
        if home is not _Home.NOWHERE:  # a module may appear there later
            known[top] = home
        return home is _Home.PRIVATE

    def import_(
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        plain: Callable[..., ModuleType] = vars(builtins)["__import__"]
        top = name.partition(".")[0]
        private = f"{package}.{top}"
        is_itself = globals is not None and globals.get("__name__") == private  # it imports its namesake
        if level or top in _NEVER_PRIVATE or is_itself or not is_private(top):
            return plain(name, globals, locals, fromlist, level)
        module = plain(f"{package}.{name}", globals, locals, fromlist, 0)
        return module if fromlist else sys.modules[private]

    return import_


def _home_of(package: str, top: str) -> _Home:
    """Where a plain name leads from a module of the package."""
    private = PathFinder.find_spec(f"{package}.{top}", [_folders[package]])
    installed = PathFinder.find_spec(top, [path for path in sys.path if Path(path).name in _INSTALLED])
    if private is None:
        is_known = installed is not None or PathFinder.find_spec(top) is not None
        return _Home.SHARED if is_known else _Home.NOWHERE
    if private.origin is None:  # a folder without __init__.py: any module of that name wins over it
        return _Home.PRIVATE if PathFinder.find_spec(top) is None else _Home.SHARED
    return _Home.PRIVATE if installed is None or installed.origin is None else _Home.SHARED
