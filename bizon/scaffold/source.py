"""The files of a new source: configuration, source, example, and a test with a stand-in.

Called by ``bizon source new``.

Each choice picks lines of the templates, so the result holds the chosen style only.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from bizon.common.errors.errors import ConfigError
from bizon.scaffold.files import Place, as_package, in_tree, package_of
from bizon.scaffold.modules import module_of
from bizon.scaffold.templates import rendered

if TYPE_CHECKING:
    from bizon.scaffold.names import Names


class Style(StrEnum):
    """The kind of source: lists of an HTTP API, lists of a GraphQL API, rows of a database."""

    HTTP = "http"
    GRAPHQL = "graphql"
    ROWS = "rows"


class Paging(StrEnum):
    """How the API leads from one page to the next."""

    CURSOR = "cursor"
    PAGE = "page"
    OFFSET = "offset"
    LINK = "link"
    TOKEN = "token"


class Incremental(StrEnum):
    """How changes are found: the API filters by time, the API gives a sync token, the source filters
    what it fetched."""

    TIME = "time"
    TOKEN = "token"
    FILTER = "filter"


class Choice(NamedTuple):
    """One kind of source. ``incremental`` is None for a source that always fetches everything."""

    style: Style = Style.HTTP
    paging: Paging = Paging.CURSOR
    incremental: Incremental | None = None

    @property
    def is_newest_first(self) -> bool:
        """Whether changes are asked for without an end, the newest first: the next page is found by counting records,
        and a record that left a window with an end would shift those after it."""
        return self.incremental is Incremental.TIME and self.paging in (Paging.PAGE, Paging.OFFSET)


_NAMES_OF_KEYS = {  # what the stand-ins call their parameters, in the manner of the style
    Style.HTTP: {
        "since": "updated_since",
        "before": "updated_before",
        "sync": "sync_token",
        "updated": "updated_at",
        "page_token": "page_token",
    },
    Style.GRAPHQL: {
        "since": "updatedSince",
        "before": "updatedBefore",
        "sync": "syncToken",
        "updated": "updatedAt",
        "page_token": "pageToken",
    },
    Style.ROWS: {"since": "", "before": "", "sync": "", "updated": "updated_at"},
}


def check_choice(choice: Choice) -> None:
    """Raise ConfigError for options that contradict each other."""
    style, paging, incremental = choice
    if style is Style.GRAPHQL and paging is Paging.LINK:
        raise ConfigError("--paging link: a GraphQL API gives no links; use cursor, page, offset or token")
    if style is Style.ROWS and paging is not Paging.CURSOR:
        raise ConfigError(f"--paging {paging}: rows are read in the order of their key; leave the option out")
    if style is Style.ROWS and incremental not in (None, Incremental.TIME):
        raise ConfigError(f"--incremental {incremental}: a database filters by time; use time")


def source_files(names: "Names", choice: Choice, place: Place) -> dict[str, str]:
    """The texts of the files by path, relative to the folder of the target. Raises ConfigError."""
    check_choice(choice)
    facts, values = _facts(choice, place), _values(names, choice, place)
    values["page"] = rendered(f"source/{choice.style}_page.py", values, facts).rstrip("\n")
    if choice.style is not Style.ROWS:
        values["methods"] = rendered("source/methods.py", values, facts)
    config = rendered("source/config.py", values, facts)
    parts = [rendered(f"source/{choice.style}.py", values, facts)]
    if choice.incremental is Incremental.FILTER or choice.is_newest_first:
        parts.append(rendered("source/iteration.py", values, facts))
    test = rendered(f"source/{'database' if choice.style is Style.ROWS else 'stand_in'}.py", values, facts)
    own = values["first_party"]
    example, tested = rendered("source/example.yml", values, facts), module_of(test, first_party=own)
    if place is Place.FILE:
        source = module_of(config, *parts, first_party=own)
        return {
            f"{names.snake}_source.py": source,
            f"{names.snake}.example.yml": example,
            f"test_{names.snake}.py": tested,
        }
    code = {
        "__init__.py": "",
        "config.py": module_of(config, first_party=own),
        "source.py": module_of(*parts, first_party=own),
    }
    if place is Place.TREE:
        return in_tree("source", names.snake, code, example, tested)
    about = {path: rendered(f"source/{path}", values, facts) for path in ("pyproject.toml", "README.md")}
    return as_package(names, about, {**code, "py.typed": ""}, example, tested)


def _values(names: "Names", choice: Choice, place: Place) -> dict[str, str]:
    return {
        **names._asdict(),
        **_NAMES_OF_KEYS[choice.style],
        **_modules(names, place),
        "window": _window(choice),
        "filters": _filters(choice),
    }


def _facts(choice: Choice, place: Place) -> set[str]:
    when = "once" if choice.incremental is None else f"since_{choice.incremental}"
    facts = {choice.style, f"by_{choice.paging}", when, place}
    if choice.incremental is Incremental.TIME:
        facts.add("newest_first" if choice.is_newest_first else "ended")
    return facts


def _modules(names: "Names", place: Place) -> Mapping[str, str]:
    """Where the code imports its own modules from. As files there is one module, which the test loads as bizon does."""
    base = package_of("source", names.snake, place)
    own = base.partition(".")[0]
    return {"config_module": f"{base}.config", "source_module": f"{base}.source", "first_party": own}


def _window(choice: Choice) -> str:
    if choice.is_newest_first:
        return "asked"
    return "window" if choice.incremental is Incremental.TIME else "since"


def _filters(choice: Choice) -> str:
    return f", **{_window(choice)}" if choice.incremental in (Incremental.TIME, Incremental.TOKEN) else ""
