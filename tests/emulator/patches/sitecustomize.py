"""Changes of the emulator, which its process loads when it starts: a function for each, called once.

Most of them save time of a processor, by the ratios that they name. A test sends a hundred requests, and each request
takes about ten statements of DuckDB: a millisecond for a cheap one, and five for one that lists the whole catalogue.
"""

import re
import sys
from collections import deque
from contextlib import suppress
from threading import Lock
from typing import Any

import duckdb  # only in the environment of the emulator

_connect: Any = duckdb.connect
_EMULATOR = "local_bigquery"
_RESULTS = 50
_TAKES = {
    "INTEGER": ("INT64", "NUMERIC", "BIGNUMERIC", "FLOAT64"),
    "NUMERIC": ("NUMERIC", "BIGNUMERIC", "FLOAT64"),
    "BIGNUMERIC": ("BIGNUMERIC", "FLOAT64"),
    "FLOAT": ("FLOAT64",),
}
"""The types in SQL that a column of a type may change to. One of any other type stays as it is."""
_ALL_COLUMNS = "duckdb_columns() WHERE database_name = ? AND schema_name = ? AND table_name = ?"
_ITS_COLUMNS = 'SELECT name AS column_name, NOT "notnull" AS is_nullable FROM pragma_table_info'


def connect(*arguments: Any, config: dict[str, Any] | None = None, **how: Any) -> Any:
    """As ``duckdb.connect``, with one thread: the tables are tiny, and several emulators share the processors. The
    emulator connects once, when it has loaded its modules and before it uses them."""
    duckdb.connect = _connect
    for change in (_json, _tables, _wider_types, _conflicts, _turns, _columns, _existence, _resources, _jobs, _results):
        change()
    return _connect(*arguments, config={**(config or {}), "threads": 1}, **how)


def _module(name: str) -> Any:
    return sys.modules[f"{_EMULATOR}.{name}"]


def _json() -> None:
    """Load jobs read a column of type JSON as BigQuery does, with the raw value of its key: the emulator reads the text
    of a string without its quotes, which is not JSON."""
    loads = _module("jobs.load")
    read = loads._text

    def text(field: Any) -> Any:
        return field if field.type == "JSON" else read(field)

    loads._text = text


def _tables() -> None:
    """The tables of a project are in a file of DuckDB. DuckLake writes Parquet files and a snapshot for each change: a
    new table, an insertion, a count of rows took twenty times as long. It keeps the past of a table, which no test
    looks at."""
    database = _module("engine.database")

    def attach(connection: Any, project: str) -> None:
        file = database.settings.data_dir / f"{project}.ducklake"  # the next start looks for files with this suffix
        connection.execute(f"ATTACH IF NOT EXISTS '{file}' AS {database.quote(project)}")
        database._attached.add(project)

    database._attach = attach
    database.projects = lambda: sorted(database._attached)


def _wider_types() -> None:
    """A column takes only a wider type, as in BigQuery and in DuckLake. DuckDB converts values to any type."""
    statements, tables = _module("sql.rules.ddl"), _module("catalog.tables")
    split, refused = statements.split, _module("errors").BigQueryError

    def checked(tree: Any) -> Any:
        actions = tree.args.get("actions") or [] if tree.key == "alter" else []
        kinds = {each.name: each.args["dtype"] for each in actions if each.args.get("dtype") is not None}
        fields = tables.columns(tree.this.catalog, tree.this.db, tree.this.name) if kinds else []
        for field in (each for each in fields if each.name in kinds):
            kind = kinds[field.name].sql("bigquery")
            if kind.partition("(")[0] not in _TAKES.get(field.type, (field.type,)):
                text = f"ALTER TABLE ALTER COLUMN SET DATA TYPE requires that the existing column type ({field.type})"
                raise refused("invalidQuery", f"{text} is assignable to the new type ({kind})")
        return split(tree)

    statements.split = checked


def _conflicts() -> None:
    """DuckDB aborts one of two changes of a table that meet. The answer has the words of BigQuery."""
    error = re.compile(r"(?P<name>TransactionContext) Error: .*(conflict|deleted)", re.IGNORECASE)
    answer = "Could not serialize access to table due to concurrent update"
    _module("errors").DUCKDB_ERRORS.insert(0, (error, "invalidQuery", answer))


def _turns() -> None:
    """Insertions by the API and changes of a schema wait for each other, as in BigQuery: DuckDB would abort one."""
    writing = _module("engine.database").writing
    for module, name in (("catalog.tabledata", "insert_all"), ("catalog.tables", "update")):
        change = getattr(_module(module), name)

        def changed(*table: Any, change: Any = change) -> Any:  # project, dataset, name, and what else it takes
            with writing(*table[:3]):
                return change(*table)

        setattr(_module(module), name, changed)


def _columns() -> None:
    """The columns of one table are read alone: a list of all columns of all tables took four times as long."""
    database = _module("engine.database")
    fetch = database.fetch

    def fetched(sql: str, params: list[Any] | None = None) -> Any:
        if _ALL_COLUMNS in sql and params:
            table = database.quote(*params[:3]).replace("'", "''")
            with suppress(duckdb.Error):  # there is no such table
                return fetch(sql.replace(_ALL_COLUMNS, f"({_ITS_COLUMNS}('{table}')) WHERE true"), params[3:])
        return fetch(sql, params)

    database.fetch = fetched


def _existence() -> None:
    """A table that was there is still there if its rows can be counted, in a fifth of the time. Otherwise all tables
    are listed."""
    database = _module("engine.database")
    objects, seen = database.objects, set[tuple[str, str, str]]()

    def found(project: str, dataset: str, table: str | None = None) -> Any:
        if table is not None and (project, dataset, table) in seen:
            with suppress(duckdb.Error):  # a view has no rowid
                [(rows,)] = database.fetch(f"SELECT count(rowid) FROM {database.quote(project, dataset, table)}")
                return [(table, "TABLE", rows)]
        listed = objects(project, dataset, table)
        seen.update((project, dataset, name) for name, kind, _ in listed if kind == "TABLE")
        return listed

    database.objects = found


def _resources() -> None:
    """The emulator reads its notes about a dataset and its tables once after each change: a fifth of the statements."""
    metadata = _module("catalog.metadata")
    fetch, execute, lock = metadata.fetch, metadata.execute, Lock()
    answers: dict[tuple[str, ...], dict[tuple[str, ...], Any]] = {}  # by dataset

    def fetched(sql: str, params: list[str]) -> Any:
        if len(params) < 2:  # of a whole project
            return fetch(sql, params)
        with lock:
            known = answers.setdefault(tuple(params[:2]), {})
            if (sql, *params) not in known:
                known[sql, *params] = fetch(sql, params)
            return known[sql, *params]

    def executed(sql: str, params: list[str]) -> None:
        with lock:
            answers.pop(tuple(params[:2]), None)
            execute(sql, params)

    metadata.fetch, metadata.execute = fetched, executed


def _jobs() -> None:
    """Jobs are looked up in memory, and written to the file at their beginning and at their end: half of the time."""
    store = _module("jobs.store")
    save, load, delete = store.save, store.load, store.delete
    jobs: dict[tuple[str, str], str] = {}

    def saved(job: Any) -> Any:
        if job.status.state != "RUNNING":
            save(job)
        jobs[job.jobReference.projectId, job.jobReference.jobId] = job.model_dump_json(by_alias=True, exclude_none=True)
        return job

    def loaded(project: str, job: str) -> Any:
        text = jobs.get((project, job))
        return load(project, job) if text is None else store.Job.model_validate_json(text)

    def deleted(project: str, job: str) -> None:
        jobs.pop((project, job), None)
        delete(project, job)

    store.save, store.load, store.delete = saved, loaded, deleted


def _results() -> None:
    """The result of a query stays for the next 50 queries, and not for 24 hours. Each is a table of the catalogue: a
    list of all tables took three times as long after two hundred queries."""
    database, results = _module("engine.database"), _module("engine.results")
    materialise, prefix, tables = results.materialise, database.quote("emulator", "_results"), deque[str]()

    def materialised(cursor: Any, query: str, name: str, *others: Any) -> None:
        materialise(cursor, query, name, *others)
        if name.startswith(prefix):
            tables.append(name)
            if len(tables) > _RESULTS:
                database.execute(f"DROP TABLE IF EXISTS {tables.popleft()}")

    results.materialise = materialised


sys.modules["pandas"] = None  # type: ignore[assignment]  # else DuckDB looks for it at each parameter
duckdb.connect = connect
