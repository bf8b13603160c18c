"""``bizon source new`` and ``bizon destination new``: from the options to files, and the commands to try them."""

import shlex
from collections.abc import Iterable
from pathlib import Path

from bizon.cli.output import say
from bizon.scaffold import destination
from bizon.scaffold.files import Place, Target, change_files, target_of, write_files
from bizon.scaffold.names import Names, names_of
from bizon.scaffold.registration import registered
from bizon.scaffold.source import Choice, Incremental, Paging, Style, source_files

_TASKS = {  # what the generated test writes to, and what to do after it has passed
    destination.Style.TABLE: ("a SQLite file", "replace the SQLite file by your database, also in the test"),
    destination.Style.HTTP: ("a stand-in of the endpoint", "let destination and stand-in speak as your endpoint does"),
    destination.Style.FILES: ("a folder", "replace the folder by your store, also in the test"),
}


def create_source(name: str, kind: tuple[str, str, str | None], *, into: str | None, package: bool) -> None:
    """Write the files of a new source. ``kind``: style, paging, and how changes are found. Raises ConfigError."""
    style, paging, incremental = kind
    choice = Choice(Style(style), Paging(paging), None if incremental is None else Incremental(incremental))
    names, target = names_of(name), target_of(into, package=package)
    created = write_files(target.folder, source_files(names, choice, target.place))
    report(created, _next_steps(names, target, choice.style))


def create_destination(name: str, style: str, *, into: str | None, package: bool) -> None:
    """Write the files of a new destination, and register it inside the tree. Raises ConfigError."""
    names, target = names_of(name), target_of(into, package=package)
    changes = registered(target.folder, names) if target.place is Place.TREE else {}
    texts = destination.destination_files(names, destination.Style(style), target.place)
    created = write_files(target.folder, texts)
    steps = _steps_of_destination(names, target, destination.Style(style))
    report(created, steps, change_files(target.folder, changes))


def report(created: Iterable[Path], next_steps: Iterable[str], changed: Iterable[Path] = ()) -> None:
    """Print the created and changed files, and the commands to run next."""
    for path in created:
        say(f"created {path}")
    for path in changed:
        say(f"changed {path}")
    say("next:")
    for step in next_steps:
        say(f"  {step}")


def _next_steps(names: Names, target: Target, style: Style) -> list[str]:
    name, folder = names.snake, target.folder
    if style is Style.ROWS:
        serving = f"test_{name}.py .  # creates a database, and prints the variable to set"
    else:
        serving = f"test_{name}.py  # serves the stand-in until Ctrl-C; set the variables that it prints elsewhere"
    if target.place is Place.TREE:
        return [
            f"pytest tests/connectors/sources/{name}",
            f"bizon stream list {name}",
            f"python tests/connectors/sources/{name}/{serving}",
            f"bizon source test bizon/connectors/sources/{name}/config/{name}.example.yml",
            "python tests/docs/reference.py --write",
        ]
    if target.place is Place.PACKAGE:
        package = shlex.quote(str(folder / f"bizon-{names.dashed}"))
        tests = ["pytest", f"python tests/{serving}", f"bizon source test config/{name}.example.yml"]
        return [f"cd {package}", "pip install -e .", *tests]
    moves = [] if folder == Path() else [f"cd {shlex.quote(str(folder))}"]
    return [*moves, f"pytest test_{name}.py", f"python {serving}", f"bizon source test {name}.example.yml"]


def _steps_of_destination(names: Names, target: Target, style: destination.Style) -> list[str]:
    name, folder = names.snake, target.folder
    at_first, what = _TASKS[style]
    passes, task = f"  # passes as it is, on {at_first}", f"# then {what}, and:"
    if target.place is Place.TREE:
        example = f"bizon/connectors/destinations/{name}/config/{name}.example.yml"
        tests = f"pytest tests/connectors/destinations/{name} tests/destination/test_registration.py"
        validate = f"bizon config validate {example}"
        return [tests + passes, task, tests, validate, "python tests/docs/reference.py --write"]
    if target.place is Place.PACKAGE:
        package = folder / f"bizon-{names.dashed}"
        moves = [f"cd {shlex.quote(str(package))}", "pip install -e ."]
        return [*moves, f"pytest{passes}", task, "pytest", f"bizon run config/{name}.example.yml"]
    moves = [] if folder == Path() else [f"cd {shlex.quote(str(folder))}"]
    test = f"pytest test_{name}.py"
    return [*moves, test + passes, task, test, f"bizon run {name}.example.yml"]
