"""The rules of typed tables, as tests that a destination claims by inheriting them.

Guide: docs/guides/typed-tables.md. Each test is named after its rule: 1 to 7 say which columns a table gets and what
becomes of a value without one, 8 how rows are merged, 9 to 11 that each row is there exactly once, whatever happens to
a run. Records are compared with their rows digit by digit. No test measures time. ``DestinationConformance`` is claimed
next to it, for the six columns.
"""

from bizon.testing.table_parts import TableParts
from bizon.testing.table_runs import TableRuns
from bizon.testing.table_types import TableTypes


class TableConformance(TableTypes, TableParts, TableRuns):
    """Behaviours of every destination with typed tables. Override the fixture ``config`` and the methods ``rows`` and
    ``types``; the claims are in ``TableClaims``."""
