"""Each known way in which a pipeline fails its users is guarded by a test that names it."""

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
GUARDED = [
    f"F-{number:02}"
    for first, last in ((1, 30), (33, 33), (36, 37), (39, 39), (43, 43), (45, 49))
    for number in range(first, last + 1)
]


def named_lessons(text: str) -> set[str]:
    """The ids in the ``pytest.mark.lesson(...)`` of a test file."""
    if "mark.lesson(" not in text:
        return set()
    calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call) and node.args]
    marks = [call for call in calls if ast.unparse(call.func) == "pytest.mark.lesson"]
    return {argument.value for mark in marks for argument in mark.args if isinstance(argument, ast.Constant)}


@pytest.fixture(scope="module")
def lessons() -> set[str]:
    return set().union(*(named_lessons(file.read_text(encoding="utf-8")) for file in TESTS.rglob("test_*.py")))


@pytest.mark.parametrize("lesson", GUARDED)
def test_a_test_names_the_lesson(lesson: str, lessons: set[str]) -> None:
    assert lesson in lessons, f'no test carries @pytest.mark.lesson("{lesson}")'


def test_marks_are_read_from_functions_classes_and_parameters() -> None:
    text = (
        'pytestmark = pytest.mark.lesson("F-01")\n'
        '@pytest.mark.lesson("F-02", "F-03")\nclass TestIt: ...\n'
        'pytest.param(1, marks=pytest.mark.lesson("F-04"))\n'
        'other("F-05")\n# @pytest.mark.lesson("F-06")\n'
    )
    assert named_lessons(text) == {"F-01", "F-02", "F-03", "F-04"}
