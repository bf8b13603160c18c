"""The poolers in front of a Postgres server: PgBouncer, which not every machine has, and one that needs no program."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pgbouncer
import pooler
import pytest
from postgres import Place

POOLED: dict[str, Callable[[Place], AbstractContextManager[Place]]] = {
    "pgbouncer": pgbouncer.pooled,
    "each transaction another session": pooler.pooled,
}
"""``POOLED[name](place)``. Within: the same place by way of the pooler."""


def poolers(share: int, pool: str) -> list[Any]:
    """The names, as ``params`` of a fixture. ``share`` and ``pool``: of the mark ``matrix``; PgBouncer is for the long
    tests."""
    marks = (pytest.mark.matrix(share=0), pytest.mark.matrix(share=share, pool=pool))
    return [pytest.param(name, marks=mark) for name, mark in zip(POOLED, marks, strict=True)]
