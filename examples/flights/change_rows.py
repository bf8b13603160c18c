"""Change some rows of the database, as an airline would: python change_rows.py flights.db 3"""

import sqlite3
import sys
from datetime import UTC, datetime


def change_rows(path: str, count: int) -> None:
    """Delay the first ``count`` flights by a minute, and say so in ``updated_at``."""
    now = datetime.now(UTC).isoformat()
    with sqlite3.connect(path) as database:
        database.execute(
            "UPDATE flights SET dep_delay = coalesce(dep_delay, 0) + 1, updated_at = ? WHERE id <= ?", (now, count)
        )
    database.close()


if __name__ == "__main__":
    change_rows(sys.argv[1], int(sys.argv[2]))
