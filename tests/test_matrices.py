"""``make test`` runs some cases of the long matrices: enough of them, and ``make test-long`` runs all."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import matrices
import pytest

Collected = Callable[..., dict[str, list[str]]]
MATRICES = """
import pytest

@pytest.fixture
def postgres(): ...
@pytest.fixture
def warehouse(): ...

@pytest.mark.matrix
@pytest.mark.parametrize("number", range(10))
class TestMarked:
    def test_a_third(self, number): ...
    @pytest.mark.matrix(share=20)
    def test_few(self, number): ...

@pytest.mark.matrix
def test_one(): ...

@pytest.mark.matrix(share=2, pool="few")
class TestTogether:
    def test_a(self): ...
    def test_b(self): ...
    @pytest.mark.parametrize("number", range(2))
    def test_c(self, number): ...

@pytest.mark.matrix
class TestWide:
    @pytest.mark.parametrize("mode", "abc")
    @pytest.mark.parametrize("way", "xyz")
    def test_two_parameters(self, mode, way): ...

class Cases:
    @pytest.mark.parametrize("mode", "abc")
    @pytest.mark.parametrize("way", "xyz")
    def test_with_a_server(self, postgres, mode, way): ...
    def test_alone(self, postgres): ...

@pytest.mark.parametrize("number", range(6))
def test_in_a_warehouse(warehouse, number): ...

class TestFirst(Cases): ...
class TestSecond(Cases): ...

@pytest.mark.parametrize("mode", "abc")
def test_elsewhere(mode): ...
"""
MORE = """
import pytest

@pytest.mark.matrix(share=2, pool="few")
class TestTogetherToo:
    @pytest.mark.parametrize("number", range(4))
    def test_a(self, number): ...
"""
RARE = """
import pytest

class Suite:
    @pytest.mark.parametrize("number", range(9))
    def test_rarely(self, number): ...

pytestmark = pytest.mark.matrix(share=100, pool="rare")
class TestAdapter0(Suite): ...
class TestAdapter1(Suite): ...
class TestAdapter2(Suite): ...

@pytest.mark.parametrize("number", range(9))
def test_rarely_too(number): ...
"""
NEVER = """
import pytest

@pytest.mark.matrix(share=0)
def test_never(): ...
"""
OPTIONS = ("-p", "no:cacheprovider", "--import-mode=importlib")


@pytest.fixture
def collected(pytester: pytest.Pytester) -> Collected:
    """``collected(*arguments)``: the ids of the cases that would run, by function."""
    pytester.makepyfile(test_it=MATRICES)
    pytester.makeini("[pytest]\nmarkers = matrix\n")

    def collect(*arguments: str) -> dict[str, list[str]]:
        run = pytester.inline_run(
            "--collect-only", "-p", "matrices", "-p", "no:cacheprovider", "--import-mode=importlib", *arguments
        )
        found: dict[str, list[str]] = {}
        for item in run.getcall("pytest_collection_finish").session.items:
            name, _, case = item.nodeid.partition("::")[2].partition("[")
            found.setdefault(name, []).append(case.rstrip("]"))
        return found

    return collect


def test_a_marked_test_runs_its_share_and_at_least_once(collected: Collected) -> None:
    found = collected()
    assert len(found["TestMarked::test_a_third"]) == 4
    assert len(found["TestMarked::test_few"]) == 1
    assert found["test_one"] == [""]
    assert found["test_elsewhere"] == ["a", "b", "c"]


def test_tests_of_one_pool_share_the_cases_that_run(collected: Collected) -> None:
    found = collected()
    assert sum(len(cases) for name, cases in found.items() if name.startswith("TestTogether")) == 2


def test_the_cases_that_run_show_each_value_that_their_number_allows(collected: Collected) -> None:
    cases = collected()["TestWide::test_two_parameters"]
    assert len(cases) == 3
    assert set("-".join(cases).split("-")) == {*"abcxyz"}


def test_with_a_server_each_test_and_each_value_of_a_module_occurs(collected: Collected) -> None:
    found = collected()
    cases = [case for name in ("TestFirst", "TestSecond") for case in found[f"{name}::test_with_a_server"]]
    assert len(cases) == 3
    assert set("-".join(cases).split("-")) == {*"abcxyz"}
    assert found["TestFirst::test_alone"] == found["TestSecond::test_alone"] == [""]


def test_in_a_warehouse_a_sixth_of_the_cases_runs(collected: Collected) -> None:
    assert len(collected()["test_in_a_warehouse"]) == 1


def test_each_class_and_each_file_runs_a_case_unless_its_share_is_zero(
    collected: Collected, pytester: pytest.Pytester
) -> None:
    pytester.makepyfile(test_more=RARE, test_again=RARE.replace("Adapter", "Other"), test_never=NEVER)
    found = collected()
    assert {name for name in found if "rarely" in name} == {
        *(f"TestAdapter{number}::test_rarely" for number in range(3)),
        *(f"TestOther{number}::test_rarely" for number in range(3)),
        "test_rarely_too",
    }
    assert len(found["test_rarely_too"]) == 2, "one in each file"
    assert "test_never" not in found


def test_a_pool_is_the_same_in_all_files(collected: Collected, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_more=MORE)
    found = collected()
    assert sum(len(cases) for name, cases in found.items() if name.startswith("TestTogether")) == 4
    assert found["TestTogetherToo::test_a"], "a behaviour of a class that the other file lacks"


def test_another_seed_picks_others(collected: Collected, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for seed in "12":
        monkeypatch.setenv("BIZON_TEST_SEED", seed)
        found.append(collected())
    assert found[0]["TestMarked::test_a_third"] != found[1]["TestMarked::test_a_third"]


def test_every_case_runs_with_some_seed(collected: Collected, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, set[str]] = {}
    for seed in range(16):
        monkeypatch.setenv("BIZON_TEST_SEED", str(seed))
        for name, cases in collected().items():
            seen.setdefault(name, set()).update(cases)
    assert len(seen["TestMarked::test_few"]) > 5
    assert len(seen["TestWide::test_two_parameters"]) == 9
    assert {name for name in seen if name.startswith("TestTogether")} == {
        f"TestTogether::test_{name}" for name in "abc"
    }


def test_the_seed_is_what_the_commit_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(matrices.SEED)
    tree = subprocess.run(
        ["git", "rev-parse", "HEAD^{tree}"], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    assert (tree.stdout or matrices.WITHOUT_GIT).startswith(matrices.seed())


def test_a_run_says_how_to_repeat_its_choice(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIZON_TEST_SEED", "abc")
    pytester.makepyfile(test_it="def test_one(): ...")
    run = pytester.runpytest_inprocess("-p", "matrices", "-p", "no:cacheprovider", "-q")
    run.stdout.fnmatch_lines(["*To run the same part again: BIZON_TEST_SEED=abc"])


@pytest.mark.parametrize("how", ["all", "by name", "by keyword"])
def test_all_cases_run_on_request(collected: Collected, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    if how == "all":
        monkeypatch.setenv("BIZON_TEST_LONG", "1")
    found = collected(*{"by name": ["test_it.py::TestMarked"], "by keyword": ["-k", "TestMarked"]}.get(how, []))
    assert len(found["TestMarked::test_a_third"]) == len(found["TestMarked::test_few"]) == 10
