"""New sources of every kind: what is generated is formatted, typed and passes its test, at all three places."""

import itertools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bizon.common.errors.errors import ConfigError
from bizon.scaffold.files import Place, write_files
from bizon.scaffold.names import names_of
from bizon.scaffold.source import Choice, Incremental, Paging, Style, check_choice, source_files

ROOT = Path(__file__).parents[2]
LONGEST = "a_name_of_thirty_letters_in_al"


def is_sensible(choice: Choice) -> bool:
    try:
        check_choice(choice)
    except ConfigError:
        return False
    return True


CHOICES = [
    choice
    for choice in itertools.starmap(Choice, itertools.product(Style, Paging, [None, *Incremental]))
    if is_sensible(choice)
]
SLICES = [CHOICES[first::13] for first in range(13)]  # of unlike kinds; a run of mypy and of pytest each


def name_of(choice: Choice) -> str:
    return f"{choice.style}_{choice.paging}_{choice.incremental or 'once'}"


def ids_of(choices: list[Choice]) -> str:
    return "-".join(map(name_of, choices))


def tool(*arguments: str, folder: Path, **variables: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=folder,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def generate(folder: Path, choices: list[Choice]) -> None:
    for choice in choices:
        write_files(folder, source_files(names_of(name_of(choice)), choice, Place.FILE))


def test_every_kind_is_there():
    assert len(CHOICES) == 5 * 4 + 4 * 4 + 2


def test_every_kind_is_formatted(tmp_path):
    """With the default width of formatters, and with the one of this repository."""
    generate(tmp_path, CHOICES)
    for width in ("88", "120"):
        tool("ruff", "format", "--check", "--isolated", "--line-length", width, ".", folder=tmp_path)
    tool(
        "ruff",
        "check",
        "--isolated",
        "--extend-select",
        "I,B,UP,SIM,RUF,ANN",
        "--ignore",
        "ANN401",
        ".",
        folder=tmp_path,
    )


@pytest.mark.parametrize("name", ["a", LONGEST])
def test_a_short_and_a_long_name_leave_the_code_formatted(tmp_path, name):
    for choice in CHOICES:
        for place in Place:
            write_files(tmp_path / name_of(choice) / place, source_files(names_of(name), choice, place))
    tool("ruff", "format", "--check", "--isolated", "--line-length", "120", ".", folder=tmp_path)


@pytest.mark.timeout(300)  # a new mypy or pytest on a busy machine
@pytest.mark.matrix(share=13)
@pytest.mark.parametrize("choices", SLICES, ids=ids_of)
def test_new_sources_are_typed(tmp_path, choices):
    generate(tmp_path, choices)
    tool("mypy", "--strict", "--cache-dir", str(tmp_path / ".cache"), ".", folder=tmp_path)


@pytest.mark.timeout(300)  # a new mypy or pytest on a busy machine
@pytest.mark.matrix(share=13)
@pytest.mark.parametrize("choices", SLICES, ids=ids_of)
def test_new_sources_pass_their_tests(tmp_path, choices):
    generate(tmp_path, choices)
    tool("pytest", "-q", "-p", "no:cacheprovider", "-W", "error", "--rootdir", ".", ".", folder=tmp_path)


def test_a_new_source_holds_the_chosen_style_only():
    texts = source_files(names_of("shop"), Choice(Style.HTTP, Paging.PAGE), Place.FILE)
    source = texts["shop_source.py"]
    assert "get_records_after" not in source
    assert "cursor" not in source
    assert "sync_mode" not in texts["shop.example.yml"]


@pytest.mark.parametrize("style", [Style.HTTP, Style.GRAPHQL])
def test_a_new_source_takes_only_pages_as_the_guides_say(style):
    source = source_files(names_of("shop"), Choice(style, incremental=Incremental.TIME), Place.FILE)["shop_source.py"]
    assert "self.session.page(" in source
    assert ".list_at(" in source
    assert ".json()" not in source
    assert "timestamp=" in source


def test_a_source_in_the_tree_passes_the_checks_of_the_repository(tmp_path):
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(ROOT / "bizon", tmp_path / "bizon")
    choice = Choice(Style.GRAPHQL, Paging.PAGE, Incremental.TIME)
    paths = write_files(tmp_path, source_files(names_of("shop"), choice, Place.TREE))
    (test,) = (path for path in paths if path.name == "test_shop.py")
    written = [str(path.relative_to(tmp_path)) for path in paths if path.suffix == ".py"]
    tool("ruff", "format", "--check", *written, folder=tmp_path)
    tool("ruff", "check", *written, folder=tmp_path)
    tool("pytest", "-q", "--rootdir", ".", "-c", os.devnull, str(test), folder=tmp_path, PYTHONPATH=str(tmp_path))


def test_an_installed_package_passes_its_own_checks(tmp_path):
    choice = Choice(Style.HTTP, Paging.LINK, Incremental.TOKEN)
    write_files(tmp_path, source_files(names_of("shop"), choice, Place.PACKAGE))
    package, site = tmp_path / "bizon-shop", str(tmp_path / "site")
    tool("ruff", "format", "--check", ".", folder=package)
    tool("ruff", "check", "--extend-select", "I", ".", folder=package)
    offline = ["--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    tool("pip", "install", "-q", *offline, "--target", site, ".", folder=package)
    tool("pytest", "-q", folder=package, PYTHONPATH=site)


@pytest.mark.parametrize(
    ("choice", "reason"),
    [
        (Choice(Style.GRAPHQL, Paging.LINK), "a GraphQL API gives no links; use cursor, page, offset or token"),
        (Choice(Style.ROWS, Paging.PAGE), "rows are read in the order of their key; leave the option out"),
        (Choice(Style.ROWS, incremental=Incremental.FILTER), "a database filters by time; use time"),
    ],
)
def test_options_that_contradict_each_other_are_refused(choice, reason):
    with pytest.raises(ConfigError, match=reason):
        source_files(names_of("shop"), choice, Place.FILE)
