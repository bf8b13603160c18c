"""The files of a new destination: configuration, destination, example, and a test that claims the suite.

Called by ``bizon destination new``.
"""

from enum import StrEnum
from typing import TYPE_CHECKING

from bizon.scaffold.files import Place, as_package, in_tree, package_of
from bizon.scaffold.modules import module_of
from bizon.scaffold.templates import rendered

if TYPE_CHECKING:
    from bizon.scaffold.names import Names


class Style(StrEnum):
    """The target: a table of a SQL database, requests to an endpoint, a file per batch."""

    TABLE = "table"
    HTTP = "http"
    FILES = "files"


_WHAT = {
    Style.TABLE: "rows go to a table of a database",
    Style.HTTP: "rows are posted to an endpoint",
    Style.FILES: "each batch becomes a file",
}


def destination_files(names: "Names", style: Style, place: Place) -> dict[str, str]:
    """The texts of the files by path, relative to the folder of the target."""
    facts, name = {style, place}, names.snake
    values = {**names._asdict(), "what": _WHAT[style], **_modules(names, place)}
    own = values["first_party"]

    def module(*templates: str) -> str:
        return module_of(*(rendered(f"destination/{each}.py", values, facts) for each in templates), first_party=own)

    example = rendered("destination/example.yml", values, facts)
    if place is Place.FILE:
        return {
            f"{name}_destination.py": module("config", style),
            f"{name}.example.yml": example,
            f"test_{name}.py": module("test"),
        }
    code = {"__init__.py": "", "config.py": module("config"), "destination.py": module(style)}
    if place is Place.TREE:
        return in_tree("destination", name, code, example, module("test"))
    about = {path: rendered(f"destination/{path}", values, facts) for path in ("pyproject.toml", "README.md")}
    return as_package(names, about, {**code, "py.typed": ""}, example, module("test"))


def _modules(names: "Names", place: Place) -> dict[str, str]:
    base = package_of("destination", names.snake, place)
    own = base.partition(".")[0]
    return {"config_module": f"{base}.config", "destination_module": f"{base}.destination", "first_party": own}
