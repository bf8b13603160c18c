"""The table of claims: one row per piece of work, in the order of the page."""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks import (
    claims_bigquery,
    claims_brokers,
    claims_engine,
    claims_records,
    claims_rest,
    claims_sling,
    claims_sources,
    claims_start,
    claims_tables,
)
from benchmarks.claims import Claim
from benchmarks.workload import Bench


@dataclass(frozen=True)
class TableRow:
    """``work``: a description for readers of the table, with the sizes of a full run."""

    name: str
    work: str
    measure: Callable[[Bench], list[Claim]]


TABLE: tuple[TableRow, ...] = (
    TableRow(
        "records",
        "1,000,000 nested records of about 450 bytes, in pages of 1,000, from a custom source that builds "
        "`SourceRecord`s, into NDJSON: thread runner, default configuration. Bare loop: makes the same records, dumps "
        "each with orjson, writes it to a file",
        claims_records.records,
    ),
    TableRow(
        "one-by-one",
        "the same, `records` is a generator: each is made when it is needed",
        claims_records.one_by_one,
    ),
    TableRow("peers", "the work of the first row by other tools (versions below)", claims_records.peers),
    TableRow("pages", "the same records, the source hands over whole pages: `JsonLines`", claims_records.pages),
    TableRow("parquet", "the records of the first row, into Parquet", claims_records.parquet),
    TableRow("memory", "10,000,000 records, against 1,000,000", claims_records.memory),
    TableRow("large-records", "3,000 records of 200 KB, in pages of 10", claims_records.large_records),
    TableRow(
        "short-run",
        "`bizon run` of 25 records in three pages, and of the 5 of the dummy source, into a file, against "
        '`python -c "import polars, sqlalchemy, pydantic, requests, typer"`',
        claims_start.short_run,
    ),
    TableRow("commands", 'against `python -c "import typer"`', claims_start.commands),
    TableRow("install", "`pip install` of the project, without extras", claims_start.install),
    TableRow(
        "latency",
        "200 pages of 100 records from a local HTTP server that answers in 50 ms. Bare fetch loop: one "
        "`requests.Session`, keep-alive, decodes the answers, no loading",
        claims_engine.latency,
    ),
    TableRow(
        "streams",
        "20 streams of 50 pages from the server of `latency`, `max_parallel_streams: 8`. Bare fetch loops: the loop of "
        "`latency` for each stream, on 8 threads",
        claims_engine.streams,
    ),
    TableRow(
        "rest",
        "100,000 records of about 450 bytes in pages of 1,000 from a local HTTP server, by the source `rest`, into "
        "NDJSON. Against: a custom source that makes its records from `response.json()`",
        claims_rest.rest,
    ),
    TableRow(
        "fetch-ahead",
        "400 pages of 100 records from the server of `latency`, by `rest` with numbered pages and "
        "`http.concurrency: 8`, against one request at a time",
        claims_rest.fetch_ahead,
    ),
    TableRow(
        "processes",
        "100,000 records, plain Python busy in the source and as long again in a transform, on 2 cores",
        claims_engine.processes,
    ),
    TableRow(
        "partitions",
        "`sql` from a SQLite table of 2,000,000 rows into Parquet, process runner, two producers on 2 cores",
        claims_engine.partitions,
    ),
    TableRow(
        "join",
        "100 partitions of 10 records into an NDJSON file, one command with `--join`, against the same pages in one "
        "partition",
        claims_engine.join,
    ),
    TableRow(
        "hosts",
        "`sql` from a SQLite table of 4,000,000 rows in 64 partitions into NDJSON, state in PostgreSQL, one command "
        "with `--join` on each of four hosts of half a processor, against one such host",
        claims_engine.hosts,
    ),
    TableRow(
        "transform",
        "a transform of four lines on 1,000,000 records: the run with it, less the run without it",
        claims_engine.transform,
    ),
    TableRow(
        "checkpoints",
        "1,000,000 records with 1,000 commits (`buffer_size: 0`), state in SQLite, against a run with one commit",
        claims_engine.checkpoints,
    ),
    TableRow(
        "queues",
        "the work of the first row, pages travel through a broker on the same machine, against the run's own queue",
        claims_brokers.queues,
    ),
    TableRow(
        "kafka-source",
        "1,000,000 messages of about 450 bytes in a topic of two partitions, JSON: the `kafka` source, full refresh, "
        "into NDJSON. Bare loop: `consume`, and each value is written to a file",
        claims_brokers.kafka_source,
    ),
    TableRow(
        "sql",
        "1,000,000 rows of 12 columns of PostgreSQL into Parquet, by the source `sql`. Against: "
        "`COPY (...) TO STDOUT`, read into Polars and written; dlt with its defaults, and with its fastest backends",
        claims_sources.sql,
    ),
    TableRow(
        "files",
        "1 GB of NDJSON (2,135,000 records) into Parquet, by the source `files`. Against: "
        "`pl.scan_ndjson().sink_parquet()`",
        claims_sources.files,
    ),
    TableRow(
        "sources-memory",
        "3,000,000 records of about 450 bytes by the sources `rest`, from a local HTTP server in pages of 1,000, and "
        "`files`, from NDJSON, and as many rows of PostgreSQL by `sql`, into NDJSON; against 300,000",
        claims_sources.memory,
    ),
    TableRow(
        "typed-frames",
        "JSON text -> typed frame, 1,000,000 records of about 400 bytes (8 scalars, object, list, two moments). "
        "Against: `pl.read_ndjson` of the same text, with the schema given",
        claims_tables.typed_frames,
    ),
    TableRow(
        "postgres",
        "300,000 nested records of about 500 bytes into a typed Postgres table. dlt: nested values stay in their "
        "column, from CSV files (its fastest way), and with its defaults",
        claims_tables.into_postgres,
    ),
    TableRow(
        "duckdb",
        "the same into a typed DuckDB table; dlt from Parquet files (its fastest way), and with its defaults",
        claims_tables.into_duckdb,
    ),
    TableRow(
        "sling",
        "300,000 records of about 500 bytes, from NDJSON into a typed Postgres table, and the 1,000,000 rows of `sql` "
        "into CSV. Against: Sling, from the same file and table",
        claims_sling.sling,
    ),
    TableRow("tables-memory", "900,000 records into a typed table, against 300,000", claims_tables.memory),
    TableRow(
        "verify",
        "300,000 records into a typed DuckDB table, with each value of `verify`",
        claims_tables.verify,
    ),
    TableRow(
        "postgres-copy",
        "300,000 rows of typed frames into a Postgres table. Against: COPY of the same rows, which are bytes already",
        claims_tables.postgres_copy,
    ),
    TableRow(
        "merges",
        "100,000 staged rows merged into a table of 1,000,000, half of their keys there. Bare, for rows whose keys "
        "differ: `INSERT ... ON CONFLICT` in Postgres, `MERGE INTO` in DuckDB",
        claims_tables.merges,
    ),
    TableRow(
        "storage-write",
        "1,000,000 rows of the six columns and the mark of their batch become messages, packed into requests of "
        "Storage Write. Bare loop: the same messages from rows that are ready, each serialised",
        claims_bigquery.storage_write,
    ),
    TableRow(
        "load-objects",
        "1,000,000 rows become Parquet objects for load jobs, against `write_parquet` of the same frames",
        claims_bigquery.load_objects,
    ),
    TableRow(
        "bigquery-memory",
        "200,000 records into BigQuery (emulators) with `buffer_size: 5`, against 50,000",
        claims_bigquery.memory,
    ),
)
