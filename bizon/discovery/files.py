"""Classes of connectors in a user's file. Each file is executed once per process."""

import importlib
import inspect
import sys
import traceback
from itertools import filterfalse
from pathlib import Path
from threading import RLock
from types import ModuleType
from typing import NamedTuple, TypeVar

from bizon.common.errors.errors import ConfigError
from bizon.discovery.private_packages import loaded_modules, module_name, package_of, unload

T = TypeVar("T")

_lock = RLock()  # a file may load another one


class Kind(NamedTuple):
    """A kind of connector, as error messages give it. ``name``: ``source`` or ``destination``. ``base``: the dotted
    name of its base class."""

    name: str
    base: str


def classes_in_file(path: str | Path, base: type[T], kind: Kind) -> list[type[T]]:
    """The concrete classes of ``base`` that a file defines, the most derived first; never empty.

    The file is executed as a module of the private package of its folder, so its classes pickle. A process must call
    this before it unpickles them. Raises ConfigError, which names the line, when the file cannot be used.
    """
    try:
        file = Path(path).expanduser().absolute()
    except RuntimeError:
        raise ConfigError(f"custom {kind.name} {path}: there is no such user, or it has no home folder") from None
    module = _executed(file, kind)
    if concrete := concrete_classes(module, base):
        return concrete
    own = _classes(module)
    if incomplete := [each for each in own if issubclass(each, base)]:
        missing = "; ".join(f"{each.__name__} lacks {_missing(each)}" for each in incomplete)
        raise ConfigError(f"{file}: no {kind.name} class in it is complete: {missing}")
    found = ", ".join(each.__name__ for each in own) or "no classes at all"
    raise ConfigError(f"{file}: no class in it extends {kind.base}; found: {found}")


def concrete_classes(module: ModuleType, base: type[T]) -> list[type[T]]:
    """The classes of ``base`` that a module defines and that are not abstract, the most derived first."""
    found = (each for each in _classes(module) if issubclass(each, base))
    return sorted(filterfalse(inspect.isabstract, found), key=lambda each: -len(each.__mro__))


def one_line(error: BaseException) -> str:
    """An error of foreign code as ``Type: text``."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _executed(file: Path, kind: Kind) -> ModuleType:
    with _lock:
        name = module_name(file)
        if name in sys.modules:
            return sys.modules[name]
        _check_file(file, kind)
        before = loaded_modules(package_of(name))
        try:
            return importlib.import_module(name)
        except (Exception, SystemExit) as error:
            unload(loaded_modules(package_of(name)) - before)
            raise ConfigError(_execution_error(file, error).replace(f"{package_of(name)}.", "")) from error


def _check_file(file: Path, kind: Kind) -> None:
    name = f"custom {kind.name} {file}"
    try:
        file.stat()
    except FileNotFoundError:
        raise ConfigError(f"{name} does not exist") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{name} cannot be read: {reason}") from None
    if file.is_dir():
        raise ConfigError(f"{name} is a folder; name the .py file in it")
    if file.suffix != ".py":
        raise ConfigError(f"{name} must be a Python file with the extension .py")


def _execution_error(file: Path, error: BaseException) -> str:
    if isinstance(error, SyntaxError) and error.filename is not None:
        return f"{error.filename}:{error.lineno}: {type(error).__name__}: {error.msg}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
    place = f"{file}:{lines[-1]}" if lines else str(file)
    remedy = ""
    if isinstance(error, ModuleNotFoundError):
        remedy = "; install it, or put it in the folder of the file"
    return f"{place}: {one_line(error)}{remedy}"


def _classes(module: ModuleType) -> list[type]:
    defined = (value for value in vars(module).values() if inspect.isclass(value))
    return list(dict.fromkeys(value for value in defined if value.__module__ == module.__name__))


def _missing(abstract: type) -> str:
    return ", ".join(sorted(getattr(abstract, "__abstractmethods__", ())))
