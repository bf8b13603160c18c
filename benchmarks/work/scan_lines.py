"""NDJSON into Parquet by Polars alone. ``scan_lines.py FILE``."""

import sys

import polars as pl

pl.scan_ndjson(sys.argv[1]).sink_parquet("out.parquet")
