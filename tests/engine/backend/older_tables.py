"""Statements that make the tables of an older version out of the current ones, in SQLite and in Postgres."""

VERSION_5 = (
    "DROP INDEX ix_destination_cursors_part",
    "ALTER TABLE destination_cursors DROP COLUMN partition_number",
    "ALTER TABLE stream_jobs DROP COLUMN joined",
    "DROP TABLE stream_partitions",
    "UPDATE bizon_schema SET version = 5",
)
_OF_PARTS = ("worker", "host", "pid", "place", "started", "renewed_at", "expires_at", "done", "next_state")
VERSION_6 = (
    "DROP INDEX ix_destination_cursors_part",
    "ALTER TABLE stream_jobs DROP COLUMN joined",
    *(f"ALTER TABLE stream_partitions DROP COLUMN {name}" for name in _OF_PARTS),
    "UPDATE bizon_schema SET version = 6",
)
