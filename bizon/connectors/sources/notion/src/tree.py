"""The blocks of pages, and where a walk through them continues."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from bizon.connectors.sources.notion.src.access import Access
    from bizon.connectors.sources.notion.src.client import Json, Listed, NotionClient

NOT_CONTENT = ("child_page", "child_database")
"""Blocks that stand for another page or database; what is below them is not content of this page."""


class Block(NamedTuple):
    """A block with its place. ``data``: as Notion returns it. ``is_header``: it is the header row of a table."""

    data: "Json"
    lineage: "Json"
    is_header: bool


def tree_of(page_id: str, order: int, database_id: str | None, input_page_id: str | None) -> "Json":
    """The state of a walk that has not begun.

    ``todo`` is the list of blocks whose children are to be read, as ``[block, depth of its children, cursor, number of
    children read, has header]``. It holds at most the unread siblings on the way from the page to the current block.
    """
    return {
        "page": page_id,
        "order": order,
        "database": database_id,
        "input_page": input_page_id,
        "todo": [[page_id, 0, None, 0, False]],
    }


class TreeWalker:
    """Reads the blocks of some pages at the same time, one request per worker and step. A block comes before the blocks
    below it, and siblings come in order."""

    def __init__(self, client: "NotionClient", access: "Access", deepest: int) -> None:
        self._client = client
        self._access = access
        self._deepest = deepest
        self.cut = 0
        """Blocks whose children were left out, because they are nested too deeply."""

    def step(self, trees: list["Json"]) -> tuple[list[Block], list["Json"], list["Json"]]:
        """The next blocks of these trees; the same trees, further on, without finished ones; and the child databases
        among the blocks, each with the origin of its page. The given trees are not changed."""
        shares = self._shares(trees)
        tasks = [task for tree, share in zip(trees, shares, strict=True) for task in tree["todo"][:share]]
        answers = iter(self._access.all_of(lambda task: self._client.children(task[0], task[2]), tasks))
        blocks: list[Block] = []
        databases: list[Json] = []
        left: list[Json] = []
        for tree, share in zip(trees, shares, strict=True):
            below: list[Any] = []
            for task in tree["todo"][:share]:
                answer = next(answers)
                if answer is not None:
                    blocks += self._placed(tree, task, answer)
                    databases += _databases_in(tree, answer)
                    below += self._below(task, answer)
            todo = [*below, *tree["todo"][share:]]
            left += [{**tree, "todo": todo}] if todo else []
        return blocks, left, databases

    def _shares(self, trees: list["Json"]) -> list[int]:
        """How many blocks of each tree are read in a step: one, and of the first trees more if there are few."""
        free = self._access.workers - len(trees)
        shares = []
        for tree in trees:
            share = min(len(tree["todo"]), 1 + max(0, free))
            free -= share - 1
            shares.append(share)
        return shares

    def _placed(self, tree: "Json", task: list[Any], answer: "Listed") -> Iterator[Block]:
        parent, depth, _, before, has_header = task
        for order, data in enumerate(answer.results, start=before):
            lineage = {
                "parent_block_id": parent,
                "parent_input_database_id": tree["database"],
                "parent_input_page_id": tree["input_page"],
                "source_page_id": tree["page"],
                "depth": depth,
                "block_order": order,
                "page_order": tree["order"],
            }
            yield Block(data, lineage, has_header and order == 0)

    def _below(self, task: list[Any], answer: "Listed") -> Iterator[list[Any]]:
        """The work that is left after an answer: the children of its blocks, then the rest of the list."""
        parent, depth, _, before, has_header = task
        for data in answer.results:
            if not data.get("has_children") or data["type"] in NOT_CONTENT or is_copy(data):
                continue
            if depth >= self._deepest:
                self.cut += 1
                continue
            header = data["type"] == "table" and data["table"].get("has_column_header", False)
            yield [data["id"], depth + 1, None, 0, header]
        if answer.cursor is not None:
            yield [parent, depth, answer.cursor, before + len(answer.results), has_header]


def _databases_in(tree: "Json", answer: "Listed") -> list["Json"]:
    ids = [block["id"] for block in answer.results if block["type"] == "child_database"]
    return [{"id": each, "database": tree["database"], "input_page": tree["input_page"]} for each in ids]


def is_copy(block: "Json") -> bool:
    """Whether a synced block shows the content of another one, where its blocks are."""
    return block["type"] == "synced_block" and bool((block["synced_block"] or {}).get("synced_from"))
