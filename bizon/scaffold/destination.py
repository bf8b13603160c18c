"""The files of a new destination: configuration, destination, example, and a test that claims the suite.

Called by ``bizon destination new``.
"""

from enum import StrEnum
from typing import TYPE_CHECKING

from bizon.scaffold.files import Place
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
    written = {"config.py": module("config"), "destination.py": module(style)}
    if place is Place.TREE:
        folder = f"bizon/connectors/destinations/{name}"
        return {
            f"{folder}/src/__init__.py": "",
            **{f"{folder}/src/{path}": text for path, text in written.items()},
            f"{folder}/config/{name}.example.yml": example,
            f"tests/connectors/destinations/{name}/test_{name}.py": module("test"),
        }
    package, folder = f"bizon-{names.dashed}", f"bizon-{names.dashed}/src/bizon_{name}"
    return {
        f"{package}/pyproject.toml": rendered("destination/pyproject.toml", values, facts),
        f"{package}/README.md": rendered("destination/README.md", values, facts),
        f"{folder}/__init__.py": "",
        f"{folder}/py.typed": "",
        **{f"{folder}/{path}": text for path, text in written.items()},
        f"{package}/config/{name}.example.yml": example,
        f"{package}/tests/test_{name}.py": module("test"),
    }


def _modules(names: "Names", place: Place) -> dict[str, str]:
    base = f"bizon.connectors.destinations.{names.snake}.src" if place is Place.TREE else f"bizon_{names.snake}"
    return {
        "config_module": f"{base}.config",
        "destination_module": f"{base}.destination",
        "first_party": "bizon" if place is Place.TREE else f"bizon_{names.snake}",
    }
