"""Fills, or drops, the tables that the source ``sql`` reads: 12 columns of the usual types.

``orders_table.py fill TOTAL...``: a table ``orders_TOTAL`` for each; ``orders_table.py drop``.
"""

import sys

from postgres import connected

SCHEMA = "bizon_bench_sql"
TABLE = """
CREATE TABLE {name} AS SELECT
    CAST(i AS bigint) AS id, CAST(i % 5000 AS integer) AS customer,
    (ARRAY['new', 'paid', 'sent', 'returned'])[1 + i % 4] AS status,
    CAST((i % 100000) / 7.0 AS numeric(12, 2)) AS total, CAST(i / 3.0 AS float8) AS weight, i % 2 = 0 AS is_paid,
    timestamptz '2024-01-01 00:00:00+00' + i * interval '1 second' AS created_at,
    timestamp '2024-01-01' + i * interval '1.123456 second' AS updated_at, date '2024-01-01' + i % 700 AS due,
    CASE WHEN i % 10 > 0 THEN 'note ' || md5(CAST(i AS text)) END AS note,
    CAST(md5(CAST(i + 1 AS text)) AS uuid) AS reference,
    jsonb_build_object('colour', i % 7, 'tags', jsonb_build_array('a', i % 3)) AS attributes
FROM generate_series(1, {total}) AS i
"""

with connected(autocommit=True) as connection:
    connection.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
    if sys.argv[1] == "fill":
        connection.execute(f"CREATE SCHEMA {SCHEMA}")
        for total in sys.argv[2:]:
            name = f"{SCHEMA}.orders_{total}"
            connection.execute(TABLE.format(name=name, total=total))
            connection.execute(f"ALTER TABLE {name} ADD PRIMARY KEY (id)")
            connection.execute(f"VACUUM ANALYZE {name}")
