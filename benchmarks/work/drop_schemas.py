"""Drops schemas with all their tables. ``drop_schemas.py NAME...``"""

import sys

from postgres import connected
from psycopg import sql

with connected(autocommit=True) as connection:
    for name in sys.argv[1:]:
        connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(name)))
