"""Mistakes and outages as a user meets them: one line, the remedy, no secret."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pytest
from connectors.sources.sql.sql_kit import Reading, created, numbers, postgres_url, source_of, sqlite_file
from mariadb import MariaDb
from postgres import Place, PrivateServer
from proxy import Proxy
from pydantic import ValidationError

from bizon.common.errors.errors import ConfigError, MissingDependencyError, SourceFetchError
from bizon.common.waiting import within
from bizon.connectors.sources.sql.src import failures
from bizon.connectors.sources.sql.src.config import SqlSourceConfig
from bizon.connectors.sources.sql.src.source import SqlSource
from bizon.engine.backend.models import Role
from bizon.engine.engine import load_config_dict
from bizon.engine.runner.extras import check_extras

SHOP = ("CREATE TABLE orders (id INTEGER PRIMARY KEY, total INTEGER)", "CREATE VIEW big AS SELECT * FROM orders")


def refusal(**block: Any) -> str:
    """The answers of check_connection."""
    with closing(source_of(**block)) as source:
        reachable, reason = source.check_connection()
    assert not reachable
    assert "\n" not in str(reason)
    return str(reason)


@pytest.fixture
def shop(tmp_path: Path) -> str:
    return sqlite_file(tmp_path / "shop.db", *SHOP)


def test_an_unknown_table_names_the_nearest(shop: str) -> None:
    text = "there is no table, view or query 'order'; did you mean 'orders'? (there are: orders, big)"
    assert refusal(url=shop, stream="order") == text


def test_an_unknown_table_in_the_wrong_schema_names_the_right_one(postgres: Place) -> None:
    created(postgres).rows(SHOP[0])
    assert "did you mean 'orders'?" in refusal(url=postgres_url(postgres), stream="public.orders")


@pytest.mark.parametrize(
    ("block", "text"),
    [
        (
            {"columns": ["totl"]},
            "source.columns: there is no column 'totl'; did you mean 'total'? (there are: id, total)",
        ),
        ({"primary_key": ["ID"]}, "source.primary_key: there is no column 'ID'; did you mean 'id'?"),
        ({"cursor_field": "x", "sync_mode": "incremental"}, "source.cursor_field: there is no column 'x' (there are:"),
        ({"queries": {"orders": "SELECT missing FROM orders"}}, "the database says: no such column: missing"),
    ],
)
def test_names_that_do_not_exist(shop: str, block: dict[str, Any], text: str) -> None:
    assert text in refusal(url=shop, stream="orders", **block)


def test_a_query_with_two_columns_of_one_name(postgres: Place) -> None:
    queries = {"q": "SELECT 1 AS a, 2 AS a"}
    text = refusal(url=postgres_url(created(postgres)), stream="q", queries=queries)
    assert text == "the query has two columns 'a'; name one of them with AS"


def test_a_condition_that_the_database_refuses_is_an_error_of_the_first_page(shop: str) -> None:
    with pytest.raises(SourceFetchError, match="the database says: no such column: nonsense"):
        Reading(url=shop, stream="orders", where="nonsense = 1")


def test_a_file_that_is_missing_is_not_created(tmp_path: Path) -> None:
    for url in (f"sqlite:///{tmp_path / 'no.db'}", f"duckdb:///{tmp_path / 'no.db'}"):
        assert refusal(url=url, stream="t") == f"there is no file {tmp_path / 'no.db'}"
        with pytest.raises(Exception, match="there is no file"):
            Reading(url=url, stream="t")
    assert list(tmp_path.iterdir()) == []
    assert "the address names no file" in refusal(url="sqlite://", stream="t")


def test_a_wrong_password_is_said_and_not_shown(private_postgres: PrivateServer, mariadb: MariaDb) -> None:
    for url in (
        postgres_url(private_postgres.place, password="wr0ng-pass/word"),
        mariadb.url_of("nobody", "wr0ng-pass/word"),
    ):
        text = refusal(url=url, stream="t")
        assert "wr0ng" not in text
        assert "check user, password and database in source.url" in text


def test_a_password_with_special_characters_is_accepted(private_postgres: PrivateServer) -> None:
    created(private_postgres.place).rows("CREATE TABLE t (id int PRIMARY KEY)")
    with closing(source_of(url=postgres_url(private_postgres.place), stream="t")) as source:
        assert source.check_connection() == (True, None)


def test_no_form_of_the_configuration_shows_the_address() -> None:
    config = SqlSourceConfig(name="sql", stream="t", url="postgresql://me:s3cr3t@host/db")
    for shown in (repr(config), str(config), config.model_dump_json()):
        assert "s3cr3t" not in shown


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("no address", "source.url cannot be read: it has the form"),
        ("postgresql://me:pass@word@host:x/db", "source.url cannot be read: it has the form"),
        (
            "postgresql+psycopg2://host/db",
            "bizon reads postgresql as postgresql+psycopg://, not as postgresql+psycopg2://",
        ),
        ("nodb://host/db", "SQLAlchemy knows no nodb://; install the package with its dialect"),
        ("oracle+oracledb://host/db", "the driver of oracle+oracledb:// is missing: No module named 'oracledb'"),
    ],
)
def test_addresses_that_cannot_be_right(url: str, text: str) -> None:
    with closing(source_of(url=url, stream="t")) as source, pytest.raises(ConfigError) as error:
        source.check_connection()
    assert text in str(error.value)
    assert "pass" not in str(error.value).replace("password", "")


@pytest.mark.parametrize(
    ("url", "extra", "module"),
    [
        ("postgres://h/d", "postgres", "psycopg"),
        ("mariadb://h/d", "mysql", "pymysql"),
        ("duckdb:///d", "duckdb", "duckdb"),
    ],
)
def test_a_driver_that_is_missing_names_its_extra(
    monkeypatch: pytest.MonkeyPatch, url: str, extra: str, module: str
) -> None:
    for name in ("postgres", "mysql", "duckdb", "duckdb_dialect"):
        monkeypatch.delitem(sys.modules, f"bizon.connectors.sources.sql.src.{name}", raising=False)
    monkeypatch.setitem(sys.modules, module, None)
    block = {"name": "sql", "stream": "t", "url": url}
    config = load_config_dict({"name": "p", "source": block, "destination": {"name": "logger"}}).config
    with pytest.raises(MissingDependencyError, match=rf"pip install 'bizon\[{extra}\]'"):
        check_extras(config, [Role.PRODUCER])
    with pytest.raises(
        MissingDependencyError, match=rf"with {config.source.scheme}:// .*pip install 'bizon\[{extra}\]'"
    ):
        source_of(url=url, stream="t").check_connection()


@pytest.mark.parametrize(
    ("block", "text"),
    [
        ({"sync_mode": "incremental"}, "name the column that tells when a record changed"),
        ({"queries": {"q": "DELETE FROM t"}}, "'q' must be a query, which begins with SELECT or WITH"),
        ({"columns": []}, "needs at least one column"),
        ({"columns": ["*", "a"]}, '"*" already means all columns'),
        ({"primary_key": ["a", "a"]}, "column 'a' is listed twice"),
        ({"lookback": "2 weeks"}, "must be a number with s, m, h or d"),
        ({"page_size": 0}, "greater than or equal to 1"),
    ],
)
def test_settings_that_cannot_be_right(block: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError) as error:
        SqlSourceConfig(name="sql", stream="t", url="sqlite:///f.db", **block)
    assert text in str(error.value)


@pytest.mark.parametrize(("text", "seconds"), [("2m", 120), ("1.5h", 5400), ("7d", 604_800), ("30", 30), (5, 5)])
def test_durations(text: Any, seconds: float) -> None:
    assert SqlSourceConfig(name="sql", stream="t", url="sqlite:///f.db", lookback=text).lookback == seconds


def test_a_statement_that_takes_too_long(postgres: Place, mariadb: MariaDb) -> None:
    created(postgres)
    slow = {
        postgres_url(postgres): "SELECT n AS id, pg_sleep(1) AS s FROM generate_series(1, 50) n",
        mariadb.url: "SELECT seq AS id, sleep(1) AS s FROM seq_1_to_50",
    }
    for url, query in slow.items():
        block = {"url": url, "stream": "q", "queries": {"q": query}, "primary_key": ["id"], "statement_timeout": 0.3}
        with pytest.raises(SourceFetchError, match=r"lower source\.page_size, put an index on the columns"):
            Reading(**block)


def test_nothing_is_changed_by_a_query(postgres: Place, mariadb: MariaDb) -> None:
    created(postgres).rows("CREATE SEQUENCE s")
    query = {"q": "SELECT nextval('s') AS id"}
    with pytest.raises(SourceFetchError, match="read-only transaction"):
        Reading(url=postgres_url(postgres), stream="q", queries=query, primary_key=["id"])


@pytest.fixture(params=["postgres", "mariadb"])
def far(request: pytest.FixtureRequest) -> Iterator[tuple[Proxy, str]]:
    """A server behind a proxy, and the address of a table with 20 rows there."""
    rows = ", ".join(map(str, numbers(20)))
    create = "CREATE TABLE t (id INTEGER PRIMARY KEY, name VARCHAR(20))"
    if request.param == "postgres":
        place: Place = request.getfixturevalue("postgres")
        created(place).rows(create)
        place.rows(f"INSERT INTO t VALUES {rows}")
        with Proxy(place.host, place.port) as proxy:
            yield proxy, postgres_url(place, port=proxy.port)
        return
    server: MariaDb = request.getfixturevalue("mariadb")
    server.run(create)
    server.run(f"INSERT INTO t VALUES {rows}")
    with Proxy(server.host, server.port) as proxy:
        yield proxy, server.url_of(server.user, server.password, port=proxy.port)


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "_FIRST", 0.05)
    monkeypatch.setattr(failures, "_LONGEST", 0.2)


@pytest.mark.usefixtures("_quick")
def test_a_server_that_goes_away_in_the_middle_is_waited_for(far: tuple[Proxy, str]) -> None:
    proxy, url = far
    ids: list[str] = []
    with closing(source_of(url=url, stream="t", page_size=6)) as source:
        page = source.get({})
        ids += list(page.records.ids)
        proxy.cut()
        back = threading.Timer(0.3, proxy.restore)
        back.start()
        while page.next_pagination:
            page = source.get(page.next_pagination)
            ids += list(page.records.ids)
        back.join()
    assert ids == [str(each) for each in range(20)]


@pytest.mark.usefixtures("_quick")
def test_a_server_that_stays_unreachable_is_an_error(far: tuple[Proxy, str]) -> None:
    proxy, url = far
    with closing(source_of(url=url, stream="t", page_size=6)) as source:
        page = source.get({})
        proxy.cut()
        with pytest.raises(SourceFetchError, match="the database says: ") as error:
            source.get(page.next_pagination)
    assert error.value.retryable


def test_a_check_does_not_wait_for_minutes(far: tuple[Proxy, str]) -> None:
    proxy, url = far
    proxy.cut()
    began = time.monotonic()
    with closing(source_of(url=url, stream="t")) as source, within(1.5):
        assert source.check_connection()[0] is False
    assert time.monotonic() - began < 60


def test_an_open_cursor_that_the_server_ends_is_an_error(far: tuple[Proxy, str]) -> None:
    """No other cursor would return the rows in the same order, so the run ends, and the next one starts over."""
    proxy, url = far
    query = {"q": "SELECT a.name FROM t a, t b, t c, t d"}
    with closing(source_of(url=url, stream="q", queries=query, page_size=1000)) as source:
        page = source.get({})
        proxy.cut()
        with pytest.raises(SourceFetchError, match="the database says: "):
            _read_on(source, page.next_pagination)


def _read_on(source: SqlSource, pagination: dict[str, Any]) -> None:
    for _ in range(200):
        pagination = source.get(pagination).next_pagination


def test_a_duckdb_file_that_another_process_writes(tmp_path: Path) -> None:
    path = tmp_path / "f.duckdb"
    duckdb.connect(str(path)).close()
    code = f"import duckdb, sys; c = duckdb.connect({str(path)!r}); print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=-1, stdout=-1) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        with within(0.1):
            assert "another program has the file open for writing" in refusal(url=f"duckdb:///{path}", stream="t")
        writer.communicate()
