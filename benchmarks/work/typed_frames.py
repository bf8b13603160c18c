"""Makes typed frames of JSON text, and frames of the same text by ``pl.read_ndjson`` with the schema given. Prints the
processor seconds of both.

``typed_frames.py TOTAL``. Each frame is made both ways, one right after the other, so that a busy machine slows both.
``read_ndjson`` leaves moments as text, and reads numbers and nested values without a check that they are as sent.
"""

import sys
import time
from collections.abc import Callable, Iterator

import orjson
import polars as pl
from bench_records import record

from bizon.destination.column_types import BOOLEAN, FLOAT64, INT64, JSON, TEXT, TIMESTAMP
from bizon.destination.columns import Column
from bizon.destination.typed import typed

_ROWS = 50_000  # of a frame
_COUNTRIES = ("FR", "DE", "US", "JP")
COLUMNS = {
    "id": (INT64, pl.Int64()),
    "name": (TEXT, pl.String()),
    "email": (TEXT, pl.String()),
    "active": (BOOLEAN, pl.Boolean()),
    "score": (FLOAT64, pl.Float64()),
    "quantity": (INT64, pl.Int64()),
    "country": (TEXT, pl.String()),
    "note": (TEXT, pl.String()),
    "address": (
        JSON,
        pl.Struct(
            {
                "street": pl.String(),
                "city": pl.String(),
                "zip": pl.String(),
                "geo": pl.Struct({"lat": pl.Float64(), "lon": pl.Float64()}),
            }
        ),
    ),
    "tags": (JSON, pl.List(pl.String())),
    "created_at": (TIMESTAMP, pl.String()),
    "updated_at": (TIMESTAMP, pl.String()),
}


def row(n: int) -> bytes:
    """A record of the bench with eight scalars, an object, a list and two moments."""
    found = record(n)
    found |= {"quantity": n % 1000, "country": _COUNTRIES[n % 4]}
    day = f"2024-{n % 12 + 1:02d}-{n % 28 + 1:02d}"
    found |= {
        "created_at": f"{day}T12:34:{n % 60:02d}Z",
        "updated_at": f"{day}T12:34:{n % 60:02d}.{n % 10**6:06d}+02:00",
    }
    return orjson.dumps({name: found[name] for name in COLUMNS})


def frames(total: int) -> Iterator[list[bytes]]:
    for first in range(0, total, _ROWS):
        yield [row(n) for n in range(first, min(first + _ROWS, total))]


def seconds(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


columns = [Column((name,), name, kind) for name, (kind, _) in COLUMNS.items()]


def main(total: int) -> None:
    schema = {name: dtype for name, (_, dtype) in COLUMNS.items()}
    ours = bare = 0.0
    for rows in frames(total):
        texts, lines = pl.Series(rows, dtype=pl.Binary).cast(pl.String), b"\n".join(rows)
        ours += seconds(lambda texts=texts: typed(texts, columns))
        bare += seconds(lambda lines=lines: pl.read_ndjson(lines, schema=schema))
    print(ours, bare)


if __name__ == "__main__":
    main(int(sys.argv[1]))
