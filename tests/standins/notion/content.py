"""The content of a made-up Notion workspace, which tests seed and edit."""

from collections.abc import Iterable, Iterator
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

Json = dict[str, Any]
LONG_AGO = datetime(2024, 5, 1, 10, 0, 30, tzinfo=UTC)


def stamp(moment: datetime) -> str:
    """A moment as Notion writes it: cut to the minute."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:00.000Z")


def text(content: str, **annotations: bool) -> list[Json]:
    """A rich text of one part."""
    return [{"type": "text", "text": {"content": content}, "plain_text": content, "annotations": annotations}]


class Workspace:
    """Users, databases with data sources, pages and blocks. Everything is shared until ``unshare``.

    Methods that add something return its id. ``created`` and ``edited`` are moments; by default a day long ago.
    """

    def __init__(self) -> None:
        self.users: dict[str, Json] = {}
        self.databases: dict[str, Json] = {}
        self.data_sources: dict[str, Json] = {}
        self.pages: dict[str, Json] = {}
        self.blocks: dict[str, Json] = {}
        self.children: dict[str, list[str]] = {}
        self.unshared: set[str] = set()
        self._count = 0

    def new_id(self) -> str:
        self._count += 1
        return f"{self._count:08x}-0000-4000-8000-{self._count:012x}"

    def add_user(self, name: str) -> str:
        found = self.new_id()
        self.users[found] = {"object": "user", "id": found, "type": "person", "name": name, "person": {}}
        return found

    def add_database(
        self, title: str, *, sources: int = 1, inline_on: str | None = None, edited: datetime = LONG_AGO
    ) -> str:
        """``inline_on``: the page or block that shows it."""
        found = self.new_id()
        if inline_on is not None:
            self._place(inline_on, {"type": "child_database", "child_database": {"title": title}}, found, edited)
        times = {"created_time": stamp(LONG_AGO), "last_edited_time": stamp(edited)}
        listed = []
        for number in range(sources):
            source = self.new_id()
            name = title if sources == 1 else f"{title} {number + 1}"
            parent = {"type": "database_id", "database_id": found}
            both = {"object": "data_source", "id": source, "parent": parent, "title": text(name), "properties": {}}
            self.data_sources[source] = {**both, **times}
            listed.append({"id": source, "name": name})
        database = {"object": "database", "id": found, "title": text(title), "is_inline": inline_on is not None}
        self.databases[found] = {**database, "data_sources": listed, **times}
        return found

    def source_of(self, database: str, number: int = 0) -> str:
        """The id of one of its data sources."""
        return str(self.databases[database]["data_sources"][number]["id"])

    def add_page(
        self,
        title: str = "",
        *,
        database: str | None = None,
        source: int = 0,
        created: datetime = LONG_AGO,
        edited: datetime | None = None,
        **properties: Json,
    ) -> str:
        """A row of a database, or a page of the workspace. ``properties`` by name, with their type."""
        found = self.new_id()
        parent: Json = {"type": "workspace", "workspace": True}
        if database is not None:
            origin = {"data_source_id": self.source_of(database, source), "database_id": database}
            parent = {"type": "data_source_id", **origin}
        named = {"Name": {"id": "title", "type": "title", "title": text(title)}, **properties}
        page = {"object": "page", "id": found, "parent": parent, "properties": named, "in_trash": False}
        times = {"created_time": stamp(created), "last_edited_time": stamp(edited or created)}
        self.pages[found] = {**page, **times}
        return found

    def add_block(self, parent: str, kind: str, content: Json | str = "", *, edited: datetime = LONG_AGO) -> str:
        """A block at the end of a page or another block. A text stands for a rich text."""
        if isinstance(content, str):
            content = {"rich_text": text(content)} if content else {"rich_text": []}
        return self._place(parent, {"type": kind, kind: content}, self.new_id(), edited)

    def add_tree(self, parent: str, kind: str, widths: Iterable[int]) -> list[str]:
        """Nested blocks: the first width is their number below ``parent``, the next one their number below each of
        these. Their texts are unique."""
        first, *others = widths
        found = []
        for _ in range(first):
            block = self.add_block(parent, kind, f"block {self._count + 1}")
            found += [block, *(self.add_tree(block, kind, others) if others else [])]
        return found

    def edit(self, object_id: str, at: datetime, **properties: Json) -> None:
        """Change a page, database or data source at a moment."""
        for kind in (self.pages, self.databases, self.data_sources, self.blocks):
            if object_id in kind:
                kind[object_id]["last_edited_time"] = stamp(at)
                kind[object_id].get("properties", {}).update(properties)

    def remove(self, page_id: str) -> None:
        del self.pages[page_id]

    def unshare(self, object_id: str) -> None:
        """From now on the API answers ``object_not_found``."""
        self.unshared.add(object_id)

    def is_visible(self, object_id: str) -> bool:
        known = (self.pages, self.databases, self.data_sources, self.blocks)
        return object_id not in self.unshared and any(object_id in kind for kind in known)

    def rows_of(self, source: str) -> Iterator[Json]:
        return (page for page in self.pages.values() if page["parent"].get("data_source_id") == source)

    def visible(self, kind: str) -> Iterator[Json]:
        """Everything that a search may find; ``kind``: page or data_source."""
        found = self.pages if kind == "page" else self.data_sources
        return (each for each in found.values() if each["id"] not in self.unshared)

    def blocks_below(self, parent: str) -> list[Json]:
        return [
            {**deepcopy(self.blocks[each]), "has_children": bool(self.children.get(each))}
            for each in self.children.get(parent, ())
        ]

    def _place(self, parent: str, content: Json, block_id: str, edited: datetime) -> str:
        times = {"created_time": stamp(LONG_AGO), "last_edited_time": stamp(edited)}
        self.blocks[block_id] = {"object": "block", "id": block_id, **times, **content}
        self.children.setdefault(parent, []).append(block_id)
        return block_id
