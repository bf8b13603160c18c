"""The state tables. Times are naive, in UTC."""

from sqlalchemy import BigInteger, Boolean, Column, DateTime, ForeignKey, Index, Integer, MetaData, String, Table, Text

ID_LENGTH = 100
ERROR_LENGTH = 255

metadata = MetaData()


def _stream_columns() -> list[Column[str]]:
    return [Column(name, String(100), nullable=False) for name in ("name", "source_name", "stream_name")]


schema_version = Table(
    "bizon_schema",
    metadata,
    Column("version", Integer, nullable=False),
    Column("applied_at", DateTime, nullable=False),
)

stream_jobs = Table(
    "stream_jobs",
    metadata,
    Column("id", String(ID_LENGTH), primary_key=True),
    *_stream_columns(),
    Column("sync_mode", String(100), nullable=False),
    Column("attempt", Integer, nullable=False, server_default="0"),
    Column("total_records_to_fetch", BigInteger),
    Column("created_at", DateTime, nullable=False),
    Column("updated_at", DateTime),
    Column("incremental_state", Text),
    Column("status", String(100), nullable=False),
    Column("error_message", String(ERROR_LENGTH)),
    Column("producer_epoch", Integer, nullable=False, server_default="0"),
    Column("progress", Text),
    Column("output", Text),
    Column("incremental_window", Text),
    Column("joined", String(ID_LENGTH)),
    Index("ix_stream_jobs_stream", "name", "source_name", "stream_name", "created_at"),
)

source_cursors = Table(
    "source_cursors",
    metadata,
    Column("id", String(ID_LENGTH), primary_key=True),
    Column("job_id", String(ID_LENGTH), ForeignKey(stream_jobs.c.id), nullable=False),
    *_stream_columns(),
    Column("iteration", Integer, nullable=False, server_default="0"),
    Column("rows_fetched", BigInteger, nullable=False, server_default="0"),
    Column("next_pagination", Text),
    Column("attempt", Integer, nullable=False, server_default="0"),
    Column("status", String(100), nullable=False),
    Column("error_message", String(500)),
    Column("created_at", DateTime, nullable=False),
    Column("updated_at", DateTime),
    Index("ix_source_cursors_job", "job_id", "iteration"),
)

stream_resets = Table(
    "stream_resets",
    metadata,
    Column("id", String(ID_LENGTH), primary_key=True),
    *_stream_columns(),
    Column("requested_at", DateTime, nullable=False),
    Column("consumed_at", DateTime),
    Column("consumed_by_job_id", String(ID_LENGTH)),
)

stream_leases = Table(
    "stream_leases",
    metadata,
    *(Column(name, String(100), primary_key=True) for name in ("name", "source_name", "stream_name")),
    Column("owner", String(ID_LENGTH), nullable=False),
    Column("host", String(255), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("place", String(255), nullable=False),
    Column("started", String(100), nullable=False),
    Column("acquired_at", DateTime, nullable=False),
    Column("renewed_at", DateTime, nullable=False),
    Column("expires_at", DateTime, nullable=False),
)

kept_tokens = Table(
    "kept_tokens",
    metadata,
    Column("name", String(ID_LENGTH), primary_key=True),
    Column("value", Text, nullable=False),
    Column("updated_at", DateTime, nullable=False),
)

stream_partitions = Table(
    "stream_partitions",
    metadata,
    Column("job_id", String(ID_LENGTH), ForeignKey(stream_jobs.c.id), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("plan", Text, nullable=False),
    Column("epoch", Integer, nullable=False, server_default="0"),
    Column("created_at", DateTime, nullable=False),
    Column("worker", String(ID_LENGTH)),
    Column("host", String(255)),
    Column("pid", Integer),
    Column("place", String(255)),
    Column("started", String(100)),
    Column("renewed_at", DateTime),
    Column("expires_at", DateTime),
    Column("done", Boolean),
    Column("next_state", Text),
)
"""The parts that a job was planned in. Their places are in the job's cursors. ``epoch``: the start of the job that
planned the part, and one more for each worker of a joined job that has taken it. ``worker``: the one that holds it.
``next_state``: the last one that the pages of the part of a joined job returned. The members of a stream have their
seats here (``member_table.py``): ``plan`` has the places, and ``next_state`` the note on how the member is doing."""

destination_cursors = Table(
    "destination_cursors",
    metadata,
    Column("id", String(ID_LENGTH), primary_key=True),
    Column("job_id", String(ID_LENGTH), ForeignKey(stream_jobs.c.id), nullable=False),
    *_stream_columns(),
    Column("destination_name", String(100), nullable=False),
    Column("from_source_iteration", Integer, nullable=False),
    Column("to_source_iteration", Integer, nullable=False),
    Column("rows_written", BigInteger, nullable=False, server_default="0"),
    Column("success", Boolean, nullable=False),
    Column("attempt", Integer, nullable=False, server_default="0"),
    Column("error_message", String(500)),
    Column("created_at", DateTime, nullable=False),
    Column("updated_at", DateTime),
    Column("pagination", Text),
    Column("dead_letters", BigInteger, nullable=False, server_default="0"),
    Column("receipt", Text),
    Column("letters_receipt", Text),
    Column("partition_number", Integer),
    Index("ix_destination_cursors_job", "job_id", "to_source_iteration"),
    Index("ix_destination_cursors_part", "job_id", "partition_number", "to_source_iteration"),
)
