"""Settings of destinations whose tables have typed columns. Imports nothing heavy."""

from enum import StrEnum


class SchemaMode(StrEnum):
    """How a table follows its records. ``evolve``: it gets new and wider columns. ``freeze``: its columns stay, and
    what has no column is rescued. ``strict``: its columns stay, and a record that does not fit is refused."""

    EVOLVE = "evolve"
    FREEZE = "freeze"
    STRICT = "strict"


class Naming(StrEnum):
    """How keys become names of columns."""

    KEEP = "keep"
    SNAKE_CASE = "snake_case"
