"""``make test`` runs some cases of the long matrices: enough of them, and ``make test-long`` runs all."""

from collections.abc import Callable

import pytest

Collected = Callable[..., dict[str, list[str]]]
MATRICES = """
import pytest

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

class Cases:
    @pytest.mark.parametrize("mode", "abc")
    @pytest.mark.parametrize("way", "xyz")
    def test_in_a_warehouse(self, warehouse, mode, way): ...
    def test_alone(self, warehouse): ...

class TestFirst(Cases): ...
class TestSecond(Cases): ...

@pytest.mark.parametrize("mode", "abc")
def test_elsewhere(mode): ...
"""
CONFTEST = """
import matrices

def pytest_collection_modifyitems(config, items):
    if matrices.is_sampled(config):
        items[:] = matrices.sampled(items)
"""


@pytest.fixture
def collected(pytester: pytest.Pytester) -> Collected:
    """``collected(*arguments)``: the ids of the cases that would run, by function."""
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(test_it=MATRICES)
    pytester.makeini("[pytest]\nmarkers = matrix\n")

    def collect(*arguments: str) -> dict[str, list[str]]:
        run = pytester.inline_run("--collect-only", "-p", "no:cacheprovider", "--import-mode=importlib", *arguments)
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


def test_in_a_warehouse_each_class_gets_each_value_of_each_parameter(collected: Collected) -> None:
    found = collected()
    for name in ("TestFirst", "TestSecond"):
        cases = found[f"{name}::test_in_a_warehouse"]
        assert len(cases) == 3
        assert set("-".join(cases).split("-")) == {*"abcxyz"}
        assert found[f"{name}::test_alone"] == [""]


def test_another_seed_picks_others(collected: Collected, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for seed in "12":
        monkeypatch.setenv("BIZON_TEST_SEED", seed)
        found.append(collected())
    assert found[0]["TestMarked::test_a_third"] != found[1]["TestMarked::test_a_third"]


@pytest.mark.parametrize("how", ["all", "by name", "by keyword"])
def test_all_cases_run_on_request(collected: Collected, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    if how == "all":
        monkeypatch.setenv("BIZON_TEST_LONG", "1")
    found = collected(*{"by name": ["test_it.py::TestMarked"], "by keyword": ["-k", "TestMarked"]}.get(how, []))
    assert len(found["TestMarked::test_a_third"]) == len(found["TestMarked::test_few"]) == 10
