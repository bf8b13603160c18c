"""CI stays short, which needs no clock to be seen: the number of cases with a server or a pipeline is bounded, matrices
are sampled, and commands are forked. Raise a bound together with a reason."""

import ast
import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from matrices import COSTLY, PIPELINES, is_sampled

TESTS = Path(__file__).parents[1]
MOST_CASES = {
    **{"kafka_url": 160, "mariadb": 45, "postgres": 255, "private_postgres": 85, "rabbitmq": 56, "warehouse": 80},
    PIPELINES: 450,
}
"""In each run of `make test`. A test in a warehouse takes over a second of a processor, one of a pipeline half."""
MOST_CASES_OF_A_TEST = 40
PLAIN = {
    *("architecture/test_import_weight.py", "cli/test_cli_commands.py", "cli/test_cli_mistakes.py"),
    *("cli/test_cli_preview.py", "cli/test_cli_signals.py", "e2e/test_real_api.py", "e2e/test_several_files.py"),
    *("e2e/test_state_read_only.py", "e2e/test_terminal_output.py", "scaffold/test_destination_scaffold.py"),
    *("commands.py", "test_commands.py"),
}
"""Files that start bizon by ``subprocess``: they are about its start, or about a terminal, a mount, limits or a package
that is installed elsewhere (see ``commands.py``)."""


def kinds(item: pytest.Item) -> set[str]:
    return COSTLY.intersection(item.fixturenames) | ({PIPELINES} if item.nodeid.startswith(PIPELINES) else set())


def test_few_cases_use_what_is_costly(request: pytest.FixtureRequest) -> None:
    if not is_sampled(request.config):
        return
    counts = Counter(kind for item in request.session.items for kind in kinds(item))
    assert {kind: number for kind, number in counts.items() if number > MOST_CASES[kind]} == {}


def test_a_costly_test_with_many_cases_is_a_matrix(request: pytest.FixtureRequest) -> None:
    if not is_sampled(request.config):
        return
    unmarked = [item for item in request.session.items if kinds(item) and not item.get_closest_marker("matrix")]
    counts = Counter(item.nodeid.partition("[")[0] for item in unmarked)
    assert {test: number for test, number in counts.items() if number > MOST_CASES_OF_A_TEST} == {}


def trees(*words: str) -> Iterator[tuple[str, ast.Module]]:
    """The files that contain the words."""
    for path in sorted(TESTS.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if all(word in text for word in words):
            yield path.relative_to(TESTS).as_posix(), ast.parse(text)


def test_a_matrix_names_a_share_and_a_pool_has_one() -> None:
    shares: dict[str, set[object]] = defaultdict(set)
    for name, tree in trees("mark.matrix("):
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.matrix":
                keys = {key.arg: ast.literal_eval(key.value) for key in node.keywords}
                assert not node.args, f"{name}:{node.lineno}"
                assert keys.keys() <= {"share", "pool"}, f"{name}:{node.lineno}"
                assert keys["share"] != 1, f"{name}:{node.lineno}"
                shares[keys.get("pool", "")].add(keys["share"])
    assert {pool: found for pool, found in shares.items() if pool and len(found) > 1} == {}
    assert len(shares) > 5


def starts_plainly(tree: ast.Module) -> bool:
    """Whether a file contains the words of ``-m bizon`` and starts processes by ``subprocess``."""
    lists = [node.elts for node in ast.walk(tree) if isinstance(node, ast.List | ast.Tuple)]
    words = [[each.value for each in found if isinstance(each, ast.Constant)] for found in lists]
    calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    has_command = any(pair == ("-m", "bizon") for found in words for pair in itertools.pairwise(found))
    return has_command and not calls.isdisjoint({"subprocess.run", "subprocess.Popen", "subprocess.check_output"})


def test_bizon_is_forked_except_where_its_start_matters() -> None:
    assert {name for name, tree in trees("subprocess.", "bizon") if starts_plainly(tree)} == PLAIN


def test_a_plain_start_is_seen() -> None:
    assert starts_plainly(ast.parse("import subprocess\nsubprocess.run([x, '-m', 'bizon', 'run'])"))
    assert not starts_plainly(ast.parse("import commands\ncommands.run([x, '-m', 'bizon', 'run'])"))
