"""DuckDB's own driver, as a dialect of SQLAlchemy that reads."""

from typing import Any

import duckdb
from sqlalchemy.dialects import registry
from sqlalchemy.engine.default import DefaultDialect, DefaultExecutionContext

NAME = "bizon_duckdb"
_TABLES = """
SELECT table_name FROM information_schema.tables
WHERE table_schema = ? AND table_catalog = current_database() AND (table_type = 'VIEW') = ?
ORDER BY table_name
"""
_KEY = """
SELECT constraint_column_names FROM duckdb_constraints()
WHERE database_name = current_database() AND schema_name = ? AND table_name = ? AND constraint_type = 'PRIMARY KEY'
"""
_SCHEMAS = "SELECT DISTINCT schema_name FROM duckdb_schemas() WHERE database_name = current_database() AND NOT internal"


class _Context(DefaultExecutionContext):
    def get_result_processor(self, type_: Any, colname: str, coltype: Any) -> Any:
        """DuckDB 1.4 describes a column by an object that cannot be the key of a cache, as SQLAlchemy wants it."""
        return super().get_result_processor(type_, colname, str(coltype))


class DuckDbDialect(DefaultDialect):
    """Statements of the SQL standard, and the part of the catalogue that the source asks for."""

    name = NAME
    default_schema_name = "main"
    supports_statement_cache = True
    execution_ctx_cls = _Context

    @classmethod
    def import_dbapi(cls) -> Any:
        return duckdb

    def create_connect_args(self, url: Any) -> tuple[list[Any], dict[str, Any]]:
        return [url.database], {"read_only": True, "config": dict(url.query)}

    def initialize(self, connection: Any) -> None:
        """Nothing is asked at the first connection."""

    def do_begin(self, dbapi_connection: Any) -> None:
        """Each cursor of the driver has its own transactions, and ends them by itself."""

    def do_commit(self, dbapi_connection: Any) -> None:
        """See ``do_begin``."""

    def do_rollback(self, dbapi_connection: Any) -> None:
        """See ``do_begin``."""

    def get_schema_names(self, connection: Any, **_: Any) -> list[str]:
        rows = connection.exec_driver_sql(f"{_SCHEMAS} OR schema_name = 'main' ORDER BY schema_name")
        return [row[0] for row in rows]

    def get_table_names(self, connection: Any, schema: str | None = None, **_: Any) -> list[str]:
        return [row[0] for row in connection.exec_driver_sql(_TABLES, (schema or "main", False))]

    def get_view_names(self, connection: Any, schema: str | None = None, **_: Any) -> list[str]:
        return [row[0] for row in connection.exec_driver_sql(_TABLES, (schema or "main", True))]

    def get_pk_constraint(self, connection: Any, table_name: str, schema: str | None = None, **_: Any) -> Any:
        found = connection.exec_driver_sql(_KEY, (schema or "main", table_name)).scalar()
        return {"constrained_columns": list(found or ()), "name": None}


registry.register(NAME, __name__, DuckDbDialect.__name__)
