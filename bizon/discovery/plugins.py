"""Connectors of other packages, which announce them as entry points of the groups below.

    [project.entry-points."bizon.sources"]
    shop = "acme_bizon.shop:ShopSource"

An entry point names a class, or a module that defines classes. Names are read from the metadata of the installed
packages: nothing is imported before a connector is used. A built-in connector wins over a plug-in of the same name.
"""

import inspect
import sys
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple, TypeGuard, TypeVar

from bizon.common.errors.errors import ConfigError, MissingDependencyError
from bizon.discovery.files import Kind, concrete_classes, one_line

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

SOURCES, DESTINATIONS = "bizon.sources", "bizon.destinations"

T = TypeVar("T")


class Plugin(NamedTuple):
    """A connector of another package. ``package``: name and version of the distribution."""

    name: str
    package: str
    entry: "EntryPoint"


def plugins(group: str) -> list[Plugin]:
    """The plug-ins of a group, by name. A name that two packages announce is listed twice."""
    return list(_announced(group, tuple(sys.path)))


def plugin_classes(group: str, name: str, base: type[T], kind: Kind) -> list[type[T]]:
    """The concrete classes of the plug-in ``name``, which is imported; empty when no package announces it.

    Raises ConfigError when two packages announce it, or when it cannot be used, and MissingDependencyError when one of
    its packages is not installed.
    """
    named = [plugin for plugin in plugins(group) if plugin.name == name]
    if not named:
        return []
    plugin, *others = named
    if others:
        packages = " and ".join(each.package for each in named)
        raise ConfigError(f"{kind.name} '{name}' is announced by {packages}: uninstall one of them")
    loaded = _loaded(plugin, kind)
    found = concrete_classes(loaded, base) if isinstance(loaded, ModuleType) else [loaded]
    classes = [each for each in found if _is_usable(each, base)]
    if not classes:
        raise ConfigError(
            f"{kind.name} '{name}' of {plugin.package}: its entry point {plugin.entry.value} must be a complete class "
            f"that extends {kind.base}, or a module that defines one"
        )
    return classes


def _loaded(plugin: Plugin, kind: Kind) -> object:
    where = f"{kind.name} '{plugin.name}' of {plugin.package}"
    try:
        return plugin.entry.load()
    except ModuleNotFoundError as error:
        raise ConfigError(f"{where} cannot be imported: module {error.name} is missing; install it") from error
    except MissingDependencyError:
        raise
    except (Exception, SystemExit) as error:
        raise ConfigError(f"{where} cannot be imported: {one_line(error)}") from error


@cache
def _announced(group: str, path: tuple[str, ...]) -> tuple[Plugin, ...]:
    """The plug-ins of the packages on ``path``, whose metadata is read once."""
    from importlib.metadata import entry_points  # thirty modules, which most commands do without

    found = [Plugin(entry.name, _package(entry), entry) for entry in entry_points(group=group)]
    return tuple(sorted(dict.fromkeys(found), key=lambda plugin: (plugin.name, plugin.package)))


def _package(entry: "EntryPoint") -> str:
    return "another package" if entry.dist is None else f"{entry.dist.name} {entry.dist.version}"


def _is_usable(loaded: object, base: type[T]) -> TypeGuard[type[T]]:
    return inspect.isclass(loaded) and issubclass(loaded, base) and not inspect.isabstract(loaded)
