"""Streams of blocks: pages from a listing, the trees of several pages at a time, inline databases below."""

from typing import TYPE_CHECKING, NamedTuple

from bizon.connectors.sources.notion.src.tree import Block, TreeWalker, tree_of

if TYPE_CHECKING:
    from bizon.connectors.sources.notion.src.access import Access
    from bizon.connectors.sources.notion.src.client import Json, NotionClient
    from bizon.connectors.sources.notion.src.edits import Delivered, EditWindow
    from bizon.connectors.sources.notion.src.listings import ConfiguredPages, PageListing


class Step(NamedTuple):
    """The blocks of a step, the trees that it began, and the place after it, which is empty at the end."""

    blocks: list[Block]
    begun: list["Json"]
    stack: list["Json"]


class BlockWalk:
    """Walks through the blocks of all pages of a listing.

    Its place is a stack of levels: the listing of the stream, and above it the inline database that is followed. A
    level holds at most one batch of the listing and one tree per worker, however many pages there are:

    - ``place``: where the listing continues, None at its end
    - ``pages``: ids of the batch that are not begun; ``order``: the number of the first one in the listing
    - ``database``, ``named``: where the batch comes from
    - ``trees``: pages in progress
    - ``inline``: child databases to follow next; ``of``: the one whose rows this level lists
    """

    def __init__(
        self,
        client: "NotionClient",
        access: "Access",
        listing: "PageListing",
        walker: TreeWalker,
        delivered: "Delivered",
    ) -> None:
        self._client = client
        self._access = access
        self._listing = listing
        self._walker = walker
        self._delivered = delivered
        self._rows: ConfiguredPages | None = None
        self._known: tuple[str, ...] = ()

    def follow_databases(self, rows: "ConfiguredPages", known: tuple[str, ...]) -> None:
        """Follow inline databases, except the known ones, which the listing reads by itself."""
        self._rows, self._known = rows, known

    def step(self, stack: list["Json"], edits: "EditWindow | None") -> Step:
        """One request per worker for blocks, and what it takes to know which. ``[]`` is the first place. A step may
        find no blocks: pages without content must not keep a run from its next checkpoint."""
        stack = list(stack) or [_level()]
        while stack:
            level = stack.pop()
            if level["inline"]:
                database, *others = level["inline"]
                stack.append({**level, "inline": others})
                if self._is_to_be_followed(database["id"]):
                    stack.append(_level(database))
            elif level["trees"] or level["pages"]:
                level, begun = self._with_trees(level)
                blocks, trees, databases = self._walker.step(level["trees"])
                stack.append({**level, "trees": trees, "inline": databases if self._rows else []})
                return Step(blocks, begun, _unfinished(stack))
            elif level["place"] is not None:
                stack.append(self._with_pages(level, edits))
                if not stack[-1]["pages"]:
                    return Step([], [], _unfinished(stack))
        return Step([], [], [])

    def _is_to_be_followed(self, database_id: str) -> bool:
        if database_id in self._known:
            return False
        database = self._access.one(self._client.database, database_id)
        return database is not None and bool(database.get("is_inline"))

    def _with_trees(self, level: "Json") -> tuple["Json", list["Json"]]:
        """Begin pages until there is a tree per worker."""
        free = max(0, self._access.workers - len(level["trees"]))
        pages, source = level["pages"][:free], level["of"]
        new = []
        for order, page in enumerate(pages, start=level["order"]):
            if source is not None:
                new.append(tree_of(page, order, source["database"], source["input_page"]))
            else:
                new.append(tree_of(page, order, level["database"], page if level["named"] else None))
        order = level["order"] + len(pages)
        return {**level, "pages": level["pages"][free:], "order": order, "trees": [*level["trees"], *new]}, new

    def _with_pages(self, level: "Json", edits: "EditWindow | None") -> "Json":
        """Read the next batch. An inline database has no window of its own: the page that it is on was edited."""
        source = level["of"]
        if source is not None and self._rows is not None:
            batch = self._rows.of_database(source["id"]).read(level["place"], None)
            pages = batch.pages
        else:
            batch = self._listing.read(level["place"], edits)
            pages = [page for page in batch.pages if self._delivered.is_new(page)]
        origin = {"database": batch.database_id, "named": batch.are_named}
        return {**level, **origin, "place": batch.following, "pages": [page["id"] for page in pages]}


def _level(source: "Json | None" = None) -> "Json":
    place = {} if source is None else {"database": source["id"]}
    found: Json = {"place": place, "pages": [], "order": 0, "database": None, "named": False}
    return {**found, "trees": [], "inline": [], "of": source}


def _unfinished(stack: list["Json"]) -> list["Json"]:
    """The stack without levels that have nothing left."""
    while stack and stack[-1]["place"] is None and not any(stack[-1][key] for key in ("pages", "trees", "inline")):
        stack = stack[:-1]
    return stack
