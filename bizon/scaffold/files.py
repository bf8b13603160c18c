"""Where the files of a new connector go, and writing them without touching a file that exists."""

import tomllib
from collections.abc import Mapping
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bizon.common.errors.errors import ConfigError

if TYPE_CHECKING:
    from bizon.scaffold.names import Names


class Place(StrEnum):
    """Where a new connector lives: files in a folder of the user, the tree of bizon, or a package with entry points."""

    FILE = "file"
    TREE = "tree"
    PACKAGE = "package"


class Target(NamedTuple):
    """The place of a new connector, and the folder to which the paths of its files are relative."""

    place: Place
    folder: Path


def package_of(kind: str, name: str, place: Place) -> str:
    """The package that the modules of a new connector are imported from. ``kind``: ``source`` or ``destination``."""
    return f"bizon.connectors.{kind}s.{name}.src" if place is Place.TREE else f"bizon_{name}"


def in_tree(kind: str, name: str, code: Mapping[str, str], example: str, test: str) -> dict[str, str]:
    """The files of a connector inside the tree, by path. ``code``: its modules by name."""
    folder = f"bizon/connectors/{kind}s/{name}"
    return {
        **{f"{folder}/src/{path}": text for path, text in code.items()},
        f"{folder}/config/{name}.example.yml": example,
        f"tests/connectors/{kind}s/{name}/test_{name}.py": test,
    }


def as_package(
    names: "Names", about: Mapping[str, str], code: Mapping[str, str], example: str, test: str
) -> dict[str, str]:
    """The files of a connector in a package of its own, by path. ``about``: ``pyproject.toml`` and the like."""
    package = f"bizon-{names.dashed}"
    return {
        **{f"{package}/{path}": text for path, text in about.items()},
        f"{package}/config/{names.snake}.example.yml": example,
        **{f"{package}/src/bizon_{names.snake}/{path}": text for path, text in code.items()},
        f"{package}/tests/test_{names.snake}.py": test,
    }


def target_of(into: str | None, *, package: bool) -> Target:
    """The place that the options choose. ``into``: a folder, which need not exist; None for the current one, where
    a checkout of bizon means its tree. Raises ConfigError for a folder that is a file."""
    folder = Path(into or ".").expanduser()
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"--into {folder}: not a folder")
    if package:
        return Target(Place.PACKAGE, folder)
    return Target(Place.TREE if into is None and _is_checkout(folder) else Place.FILE, folder)


def write_files(folder: Path, texts: Mapping[str, str]) -> list[Path]:
    """Create the files, by path relative to ``folder``, with their folders; returns their paths. Raises ConfigError,
    before anything is written, when one of them exists, and when one cannot be written."""
    paths = {folder / path: text for path, text in texts.items()}
    if existing := [str(path) for path in paths if path.exists() or path.is_symlink()]:
        verb = "exists" if len(existing) == 1 else "exist"
        raise ConfigError(
            f"{', '.join(existing)} {verb} already, and nothing was written; choose another name or folder"
        )
    for path, text in paths.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8", newline="\n") as file:
                file.write(text)
        except OSError as error:
            raise ConfigError(f"{path} cannot be written: {error.strerror or error}") from None
    return list(paths)


def change_files(folder: Path, texts: Mapping[str, str]) -> list[Path]:
    """Give files that exist new texts; returns their paths. Raises ConfigError when one cannot be written."""
    paths = [folder / path for path in texts]
    for path, text in zip(paths, texts.values(), strict=True):
        try:
            path.write_text(text, encoding="utf-8", newline="\n")
        except OSError as error:
            raise ConfigError(f"{path} cannot be written: {error.strerror or error}") from None
    return paths


def _is_checkout(folder: Path) -> bool:
    """Whether this is the root of bizon's repository."""
    if not (folder / "bizon/connectors").is_dir():
        return False
    with suppress(OSError, ValueError):
        project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
        return bool(project.get("project", {}).get("name") == "bizon")
    return False
