"""Placeholders and conditional lines of templates."""

import pytest

from bizon.scaffold.templates import filled

TEXT = """\
class ~{Name}:
%if cursor token
    a = 1
%if token
    b = "$b"
%end
%else
    c = 1
%end
%if not once
    d = 1
%end
"""


@pytest.mark.parametrize(
    ("facts", "lines"),
    [
        ({"cursor", "once"}, ["a = 1"]),
        ({"token", "once"}, ["a = 1", 'b = "$b"']),
        ({"page"}, ["c = 1", "d = 1"]),
    ],
)
def test_lines_stay_when_their_fact_holds(facts, lines):
    assert filled(TEXT, {"Name": "Shop"}, facts).splitlines() == ["class Shop:", *(f"    {line}" for line in lines)]


def test_a_placeholder_without_a_value_is_a_fault():
    with pytest.raises(KeyError):
        filled(TEXT, {}, {"page"})


@pytest.mark.parametrize("text", ["%if a\n", "%end\n", "%elif a\n", "%if a\n%end\n%else\n"])
def test_conditional_lines_that_do_not_match_are_a_fault(text):
    with pytest.raises(ValueError, match=r"%if without %end|not a line of a template"):
        filled(text, {}, {"a"})
