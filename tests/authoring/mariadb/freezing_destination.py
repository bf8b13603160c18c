"""The ``mariadb`` destination, stopped by SIGSTOP the first time that a statement matches ``BIZON_TEST_FREEZE``."""

import os
import re
import signal
from pathlib import Path
from typing import Any

import pymysql

from bizon.destination.discover import load_custom_destination

MariadbDestination = load_custom_destination(Path(__file__).with_name("mariadb_destination.py"))


class FreezingCursor(pymysql.cursors.Cursor):
    def execute(self, query: str | bytearray, args: Any = None) -> int:
        text = query if isinstance(query, str) else query.decode()  # executemany joins the values into one statement
        freeze_at(f"before {text}")
        found = super().execute(query, args)
        freeze_at(f"after {text}")
        return found


def freeze_at(point: str) -> None:
    wanted = os.environ.get("BIZON_TEST_FREEZE")
    if wanted and re.match(wanted, point):
        del os.environ["BIZON_TEST_FREEZE"]
        os.kill(os.getpid(), signal.SIGSTOP)


class FreezingDestination(MariadbDestination):  # type: ignore[misc, valid-type]
    def connect(self) -> Any:
        connection = super().connect()
        connection.cursorclass = FreezingCursor
        return connection
