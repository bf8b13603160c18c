"""The rows of the table of claims, in its order."""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks import rows_bigquery, rows_brokers, rows_engine, rows_records, rows_start
from benchmarks.claims import Claim
from benchmarks.workload import Bench


@dataclass(frozen=True)
class Row:
    """``work``: what is done, for readers of the table, with the sizes of a full run."""

    name: str
    work: str
    measure: Callable[[Bench], list[Claim]]


ROWS: tuple[Row, ...] = (
    Row(
        "records",
        "1,000,000 nested records of about 450 bytes, in pages of 1,000, from a custom source that builds "
        "`SourceRecord`s, into NDJSON: thread runner, default configuration. Bare loop: makes the same records, dumps "
        "each with orjson, writes it to a file",
        rows_records.records,
    ),
    Row(
        "one-by-one",
        "the same, `records` is a generator: each is made when it is needed",
        rows_records.one_by_one,
    ),
    Row("peers", "the work of the first row by other tools (versions below)", rows_records.peers),
    Row("pages", "the same records, the source hands over whole pages: `JsonLines`", rows_records.pages),
    Row("parquet", "the records of the first row, into Parquet", rows_records.parquet),
    Row("memory", "10,000,000 records, against 1,000,000", rows_records.memory),
    Row("large-records", "3,000 records of 200 KB, in pages of 10", rows_records.large_records),
    Row(
        "short-run",
        "`bizon run` of 25 records in three pages, and of the 5 of the dummy source, into a file, against "
        '`python -c "import polars, sqlalchemy, pydantic, requests, typer"`',
        rows_start.short_run,
    ),
    Row("commands", 'against `python -c "import typer"`', rows_start.commands),
    Row("install", "`pip install` of the project, without extras", rows_start.install),
    Row(
        "latency",
        "200 pages of 100 records from a local HTTP server that answers in 50 ms. Bare fetch loop: one "
        "`requests.Session`, keep-alive, decodes the answers, no loading",
        rows_engine.latency,
    ),
    Row(
        "processes",
        "100,000 records, plain Python busy in the source and as long again in a transform, on 2 cores",
        rows_engine.processes,
    ),
    Row(
        "transform",
        "a transform of four lines on 1,000,000 records: the run with it, less the run without it",
        rows_engine.transform,
    ),
    Row(
        "checkpoints",
        "1,000,000 records with 1,000 commits (`buffer_size: 0`), state in SQLite, against a run with one commit",
        rows_engine.checkpoints,
    ),
    Row(
        "queues",
        "the work of the first row, pages travel through a broker on the same machine, against the run's own queue",
        rows_brokers.queues,
    ),
    Row(
        "kafka-source",
        "1,000,000 messages of about 450 bytes in a topic of two partitions, JSON: the `kafka` source, full refresh, "
        "into NDJSON. Bare loop: `consume`, and each value is written to a file",
        rows_brokers.kafka_source,
    ),
    Row(
        "storage-write",
        "1,000,000 rows of the six columns and the mark of their batch become messages, packed into requests of "
        "Storage Write. Bare loop: the same messages from rows that are ready, each serialised",
        rows_bigquery.storage_write,
    ),
    Row(
        "load-objects",
        "1,000,000 rows become Parquet objects for load jobs, against `write_parquet` of the same frames",
        rows_bigquery.load_objects,
    ),
    Row(
        "bigquery-memory",
        "200,000 records into BigQuery (emulators) with `buffer_size: 5`, against 50,000",
        rows_bigquery.memory,
    ),
)
