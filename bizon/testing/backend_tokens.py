"""Refresh tokens that replace the configured ones."""

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from bizon.testing.backend_fixtures import BackendFixtures, OpenBackend

if TYPE_CHECKING:
    from bizon.engine.backend.backend import AbstractBackend


class TokenBehaviours(BackendFixtures):
    """Part of ``BackendConformance``."""

    def test_a_token_that_was_never_kept_is_none(self, backend: "AbstractBackend") -> None:
        assert backend.get_kept_token("unknown") is None

    @pytest.mark.parametrize("value", ["x", "t" * 100_000, "é😀 '\"\\ a line\nbreak"], ids=["short", "long", "hostile"])
    def test_a_kept_token_comes_back_as_it_was(self, backend: "AbstractBackend", value: str) -> None:
        backend.keep_token("one", value)
        assert backend.get_kept_token("one") == value

    def test_a_token_replaces_the_one_before_and_no_other(self, backend: "AbstractBackend") -> None:
        for name, value in (("one", "1"), ("two", "2"), ("one", "3")):
            backend.keep_token(name, value)
        assert (backend.get_kept_token("one"), backend.get_kept_token("two")) == ("3", "2")


class SharedTokenBehaviours(BackendFixtures):
    """Part of ``SharedBackendConformance``."""

    def test_a_token_outlives_the_backend_that_kept_it(
        self, backend: "AbstractBackend", open_backend: OpenBackend
    ) -> None:
        with open_backend() as other:
            other.keep_token("one", "1")
        assert backend.get_kept_token("one") == "1"

    def test_one_of_several_tokens_kept_at_once_is_the_last(
        self, backend: "AbstractBackend", open_backend: OpenBackend
    ) -> None:
        def keep(value: str) -> None:
            with open_backend() as other:
                other.keep_token("one", value)

        values = [str(number) for number in range(4)]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(keep, values))
        assert backend.get_kept_token("one") in values
