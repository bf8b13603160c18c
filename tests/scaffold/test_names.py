"""The name of a new connector."""

import pytest

from bizon.common.errors.errors import ConfigError
from bizon.scaffold.names import names_of


@pytest.mark.parametrize("name", ["my_api", "my-api", "MyApi", "my api", "MyAPI", " my_api "])
def test_each_spelling_of_a_name_gives_the_same_names(name):
    assert names_of(name) == ("my_api", "MyApi", "MY_API", "my-api", "My Api")


@pytest.mark.parametrize("name", ["", "1api", "my__api", "../api", "api.py", "café", "_api", "a/b"])
def test_a_name_that_is_not_a_module_is_refused(name):
    with pytest.raises(ConfigError, match=r"not usable as the name of a module; use lower-case letters"):
        names_of(name)


def test_a_word_of_python_is_refused():
    with pytest.raises(ConfigError, match="'match' is a word of Python; use another, for example match_api"):
        names_of("match")


def test_a_name_that_would_break_the_lines_of_the_code_is_refused():
    with pytest.raises(ConfigError, match="has 31 characters; use at most 30"):
        names_of("a" * 31)
