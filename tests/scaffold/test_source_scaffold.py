"""New sources of every kind: what is generated is formatted, typed and passes its test, at all three places."""

import itertools
import os
import shutil
from pathlib import Path

import pytest
from inner import TypeChecker, passes, python

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


def generate(folder: Path, choices: list[Choice]) -> None:
    for choice in choices:
        write_files(folder, source_files(names_of(name_of(choice)), choice, Place.FILE))


def test_every_kind_is_there():
    assert len(CHOICES) == 5 * 4 + 4 * 4 + 2


def test_every_kind_is_formatted(tmp_path):
    """With the default width of formatters, and with the one of this repository."""
    generate(tmp_path, CHOICES)
    for width in ("88", "120"):
        python("-m", "ruff", "format", "--check", "--isolated", "--line-length", width, ".", cwd=tmp_path)
    rules = ["--extend-select", "I,B,UP,SIM,RUF,ANN", "--ignore", "ANN401"]
    python("-m", "ruff", "check", "--isolated", *rules, ".", cwd=tmp_path)


@pytest.mark.parametrize("name", ["a", LONGEST])
def test_a_short_and_a_long_name_leave_the_code_formatted(tmp_path, name):
    for choice in CHOICES:
        for place in Place:
            write_files(tmp_path / name_of(choice) / place, source_files(names_of(name), choice, place))
    python("-m", "ruff", "format", "--check", "--isolated", "--line-length", "120", ".", cwd=tmp_path)


@pytest.mark.timeout(300)  # a new mypy or pytest on a busy machine
@pytest.mark.matrix(share=26)
@pytest.mark.parametrize("choices", SLICES, ids=ids_of)
def test_new_sources_are_typed(tmp_path, types: TypeChecker, choices):
    """With the settings of this repository, and in the long matrix also without the plugin of pydantic."""
    generate(tmp_path, choices)
    types.check(".", cwd=tmp_path)
    if os.environ.get("BIZON_TEST_LONG"):
        types.check(".", cwd=tmp_path, config=None)


@pytest.mark.timeout(300)
@pytest.mark.matrix(share=26)
@pytest.mark.parametrize("choices", SLICES, ids=ids_of)
def test_new_sources_pass_their_tests(tmp_path, choices):
    generate(tmp_path, choices)
    passes("-W", "error", "--rootdir", ".", ".", cwd=tmp_path)


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


@pytest.mark.parametrize("paging", Paging)
def test_a_window_has_an_end_only_where_no_page_is_found_by_counting(paging):
    """A changed record left the window, and the next numbered or offset page skipped one."""
    choice = Choice(Style.HTTP, paging, Incremental.TIME)
    texts = source_files(names_of("shop"), choice, Place.FILE)
    counts = paging in (Paging.PAGE, Paging.OFFSET)
    assert ("updated_before" not in texts["shop_source.py"]) is counts
    assert ("loses_no_other_record" in texts["test_shop.py"]) is counts


MUTANTS = {
    "    cursor_resolution: ClassVar[float] = 1  # seconds: the API cuts its times to this\n": "",
    "return self._page(pagination or {}, **window)\n": "return SourceIteration(\n"
    "            records=self._page(pagination or {}, **window).records, next_pagination={}\n        )\n",
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("right", MUTANTS, ids=["times finer than the API's", "changes beyond a page"])
def test_the_stand_in_shows_a_fault_of_incremental_runs(tmp_path, right):
    """A stand-in that kept microseconds, and changed one record, showed neither."""
    choice = Choice(Style.HTTP, Paging.CURSOR, Incremental.TIME)
    texts = source_files(names_of("shop"), choice, Place.FILE)
    assert right in texts["shop_source.py"]
    wrong = texts["shop_source.py"].replace(right, MUTANTS[right])
    write_files(tmp_path, {**texts, "shop_source.py": wrong})
    with pytest.raises(AssertionError, match="lacks"):
        passes("-k", "exactly_what_changed", cwd=tmp_path)


def test_a_source_in_the_tree_passes_the_checks_of_the_repository(tmp_path):
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(ROOT / "bizon", tmp_path / "bizon")
    choice = Choice(Style.GRAPHQL, Paging.PAGE, Incremental.TIME)
    paths = write_files(tmp_path, source_files(names_of("shop"), choice, Place.TREE))
    (test,) = (path for path in paths if path.name == "test_shop.py")
    written = [str(path.relative_to(tmp_path)) for path in paths if path.suffix == ".py"]
    python("-m", "ruff", "format", "--check", *written, cwd=tmp_path)
    python("-m", "ruff", "check", *written, cwd=tmp_path)
    passes("--rootdir", ".", "-c", os.devnull, test, cwd=tmp_path, PYTHONPATH=str(tmp_path))


def test_an_installed_package_passes_its_own_checks(tmp_path):
    choice = Choice(Style.HTTP, Paging.LINK, Incremental.TOKEN)
    write_files(tmp_path, source_files(names_of("shop"), choice, Place.PACKAGE))
    package, site = tmp_path / "bizon-shop", str(tmp_path / "site")
    python("-m", "ruff", "format", "--check", ".", cwd=package)
    python("-m", "ruff", "check", "--extend-select", "I", ".", cwd=package)
    offline = ["--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    python("-m", "pip", "install", "-q", *offline, "--target", site, ".", cwd=package)
    passes(cwd=package, PYTHONPATH=site)


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
