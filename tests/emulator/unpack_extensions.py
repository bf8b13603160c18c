"""Puts the extensions that came as packages where DuckDB looks for them, so that it fetches none."""

import duckdb_extensions  # only in the environment of the emulator

for name in ("avro", "ducklake", "httpfs", "icu", "json", "parquet", "spatial"):
    duckdb_extensions.import_extension(name)
