"""``bizon destination new``: what it writes is formatted, typed and registered, and keeps the contract at once."""

import itertools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import commands
import pytest
from inner import ALONE, TypeChecker, passes, python

from bizon.common.errors.errors import ConfigError
from bizon.destination.discover import load_custom_destination
from bizon.scaffold.destination import Style, destination_files
from bizon.scaffold.files import Place, change_files, write_files
from bizon.scaffold.names import names_of
from bizon.scaffold.registration import registered

ROOT = Path(__file__).parents[2]
STYLES = ["table", "http", "files"]
OFFLINE = ("--no-index", "--no-deps", "--disable-pip-version-check")
CASES = [("table", Place.FILE), ("files", Place.TREE), ("http", Place.PACKAGE)]  # each style and each place
if os.environ.get("BIZON_TEST_LONG"):
    CASES = list(itertools.product(STYLES, Place))


def run(*command: str, cwd: Path, timeout: float = 300) -> str:
    """The output of a command that succeeds, with the package of the folder, if it has one."""
    root = cwd if (cwd / "bizon").is_dir() else ROOT
    env = {**os.environ, "PYTHONPATH": str(root), "LEDGER_URL": "http://127.0.0.1:1", "BIZON_ENV_LEDGER_TOKEN": "t"}
    done = commands.run(
        [sys.executable, "-m", *command], cwd=cwd, env=env, capture_output=True, text=True, timeout=timeout
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree with a destination of each style."""
    folder = tmp_path_factory.mktemp("tree")
    shutil.copytree(ROOT / "bizon", folder / "bizon")
    shutil.copy(ROOT / "pyproject.toml", folder)
    for style in STYLES:
        names = names_of(f"my_{style}")
        change_files(folder, registered(folder, names))
        write_files(folder, destination_files(names, Style(style), Place.TREE))
    return folder


@pytest.mark.timeout(400)
def test_in_the_tree_it_is_formatted_typed_and_registered(tree: Path) -> None:
    subprocess.run([sys.executable, "-m", "ruff", "format", "--check", "bizon", "tests"], cwd=tree, check=True)
    subprocess.run([sys.executable, "-m", "ruff", "check", "bizon", "tests"], cwd=tree, check=True)
    listed = run("bizon", "destination", "list", cwd=tree)
    assert all(f"my_{style}" in listed for style in STYLES)
    registration = ROOT / "tests/destination/test_registration.py"
    chosen = " or ".join(f"my_{style}" for style in STYLES)
    passes(registration, *ALONE, "-k", f"{chosen} or folder", cwd=tree, PYTHONPATH=str(tree))


def test_files_outside_the_tree_are_formatted(tmp_path: Path) -> None:
    for style in STYLES:
        write_files(tmp_path, destination_files(names_of(f"my_{style}"), Style(style), Place.FILE))
    subprocess.run([sys.executable, "-m", "ruff", "format", "--isolated", "--check", "."], cwd=tmp_path, check=True)


@pytest.mark.timeout(400)
def test_it_is_typed(tmp_path: Path, types: TypeChecker) -> None:
    for style in STYLES:
        write_files(tmp_path, destination_files(names_of(f"my_{style}"), Style(style), Place.FILE))
    types.check(*(f"my_{style}_destination.py" for style in STYLES), cwd=tmp_path)


@pytest.mark.timeout(400)
@pytest.mark.parametrize(("style", "place"), CASES)
def test_it_passes_the_suite_at_once(tmp_path: Path, tree: Path, style: str, place: Place) -> None:
    if place is Place.TREE:
        test = tree / f"tests/connectors/destinations/my_{style}/test_my_{style}.py"
        passes(test, *ALONE, cwd=tree, PYTHONPATH=str(tree))
        return
    where = ["--package"] if place is Place.PACKAGE else ["--into", str(tmp_path)]
    run("bizon", "destination", "new", "Ledger", "--style", style, *where, cwd=tmp_path)
    if place is Place.FILE:
        passes(cwd=tmp_path)
        return
    package, site = tmp_path / "bizon-ledger", str(tmp_path / "site")
    with pytest.raises(AssertionError, match="no installed package announces the destination 'ledger'"):
        passes("-k", "says_where", cwd=package)
    python("-m", "pip", "install", "-q", *OFFLINE, "--no-build-isolation", "--target", site, ".", cwd=package)
    passes(cwd=package, PYTHONPATH=site)


@pytest.mark.parametrize("style", STYLES)
def test_its_example_is_valid_and_runs(tmp_path: Path, style: str) -> None:
    run("bizon", "destination", "new", "Ledger", "--style", style, "--into", str(tmp_path), cwd=tmp_path)
    run("bizon", "config", "validate", "ledger.example.yml", cwd=tmp_path)
    if style != "http":
        assert "5 records" in run("bizon", "run", "ledger.example.yml", cwd=tmp_path)


@pytest.mark.parametrize("place", [["--into", "."], ["--package"]], ids=["file", "package"])
@pytest.mark.parametrize("style", STYLES)
def test_the_next_steps_name_the_target_that_is_to_be_replaced(tmp_path: Path, style: str, place: list[str]) -> None:
    """They ended with the test, which passed on SQLite."""
    steps = run("bizon", "destination", "new", "Ledger", "--style", style, *place, cwd=tmp_path).split("next:\n")[1]
    shown = {"table": "a SQLite file", "http": "a stand-in of the endpoint", "files": "a folder"}[style]
    first, task = steps.index(f"passes as it is, on {shown}"), steps.index("# then ")
    assert first < task < steps.rindex("pytest")


def test_a_batch_whose_content_was_corrected_has_another_key(tmp_path: Path) -> None:
    """The endpoint took the corrected rows for those that it knew, and dropped them."""
    write_files(tmp_path, destination_files(names_of("ledger"), Style.HTTP, Place.FILE))
    key = sys.modules[load_custom_destination(str(tmp_path / "ledger_destination.py")).__module__].batch_key
    row = {"bizon_id": "a", "source_data": "{}", "bizon_loaded_at": "2026-01-01"}
    assert key("items", [row]) == key("items", [{**row, "bizon_loaded_at": "2026-01-02"}])
    others = {key("items", [{**row, "source_data": '{"n":1}'}]), key("orders", [row]), key("items", [row, row])}
    assert len({key("items", [row]), *others}) == 4


@pytest.mark.parametrize("style", STYLES)
def test_as_a_package_it_has_an_entry_point(tmp_path: Path, style: str) -> None:
    run("bizon", "destination", "new", "Ledger", "--style", style, "--package", cwd=tmp_path)
    package = tmp_path / "bizon-ledger"
    assert 'ledger = "bizon_ledger.destination:LedgerDestination"' in (package / "pyproject.toml").read_text()
    subprocess.run([sys.executable, "-m", "ruff", "format", "--check", "src", "tests"], cwd=package, check=True)
    subprocess.run([sys.executable, "-m", "ruff", "check", "src", "tests"], cwd=package, check=True)


@pytest.mark.timeout(400)
@pytest.mark.matrix(share=4)
@pytest.mark.parametrize("style", ["table", "files"])
def test_the_wheel_of_its_package_runs_in_a_new_environment(tmp_path: Path, style: str) -> None:
    run("bizon", "destination", "new", "Ledger", "--style", style, "--package", cwd=tmp_path)
    package, venv = tmp_path / "bizon-ledger", tmp_path / "venv"
    python("-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path), cwd=package)
    (wheel,) = tmp_path.glob("*.whl")
    python("-m", "venv", "--without-pip", str(venv), cwd=tmp_path)
    (libraries,) = venv.glob("lib/python3*/site-packages")
    ours = [each for each in sys.path if each.endswith("site-packages")]
    (libraries / "bizon.pth").write_text("".join(f"import site; site.addsitedir({each!r})\n" for each in ours))
    python("-m", "pip", f"--python={venv}", "install", "-q", *OFFLINE, str(wheel), cwd=tmp_path)

    def in_venv(*arguments: str) -> str:
        command = [str(venv / "bin/python"), "-m", "bizon", *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert "ledger - plug-in of bizon-ledger 0.1.0" in in_venv("destination", "list")
    (example,) = package.rglob("ledger.example.yml")
    for _ in range(2):
        assert "5 records" in in_venv("run", str(example))


def test_a_name_that_is_taken_is_refused_before_anything_is_written(tree: Path) -> None:
    with pytest.raises(ConfigError, match="knows the destination 'file' already"):
        registered(tree, names_of("file"))


def test_a_tree_that_looks_otherwise_is_not_changed(tmp_path: Path) -> None:
    for path in ("bizon/destination/config.py", "bizon/common/models.py", "bizon/destination/destination.py"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("x = 1\n")
    with pytest.raises(ConfigError, match=r"config\.py: found no place to register 'ledger'"):
        registered(tmp_path, names_of("ledger"))
