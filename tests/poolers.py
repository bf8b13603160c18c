"""The poolers in front of a Postgres server: PgBouncer, which not every machine has, and one that needs no program."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import pgbouncer
import pooler
import pytest
from postgres import Place

POOLED: dict[str, Callable[[Place], AbstractContextManager[Place]]] = {
    "pgbouncer": pgbouncer.pooled,
    "each transaction another session": pooler.pooled,
}
"""``POOLED[name](place)``. Within: the same place by way of the pooler."""
POOLERS = [
    pytest.param("pgbouncer", marks=pytest.mark.matrix(share=0)),
    pytest.param("each transaction another session", marks=pytest.mark.matrix(share=25, pool="by way of a pooler")),
]
"""The names, as ``params`` of a fixture. PgBouncer is for the long tests."""
