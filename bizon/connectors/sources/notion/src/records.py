"""Records of the streams."""

from typing import TYPE_CHECKING

from bizon.connectors.sources.notion.src.markdown import markdown_of
from bizon.source.models import SourceRecord

if TYPE_CHECKING:
    from bizon.connectors.sources.notion.src.client import Json
    from bizon.connectors.sources.notion.src.tree import Block


def object_record(item: "Json") -> SourceRecord:
    """A user, database, data source or page, as Notion returns it."""
    return SourceRecord(id=item["id"], data=item, timestamp=item.get("last_edited_time"))


def block_record(block: "Block") -> SourceRecord:
    """A block as Notion returns it, and its place."""
    data = {**block.data, **block.lineage}
    return SourceRecord(id=block.data["id"], data=data, timestamp=block.data.get("last_edited_time"))


def markdown_record(block: "Block") -> SourceRecord:
    """A block as Markdown, its place, and the block as Notion returns it."""
    data = {
        "block_id": block.data["id"],
        "block_type": block.data["type"],
        "markdown": markdown_of(block.data, is_header=block.is_header),
        **block.lineage,
        "block_raw": block.data,
    }
    return SourceRecord(id=block.data["id"], data=data, timestamp=block.data.get("last_edited_time"))


def page_markdown_record(tree: "Json", markdown: str) -> SourceRecord:
    """A whole page as Notion renders it. ``tree``: the walk through its blocks."""
    data = {
        "block_id": tree["page"],
        "block_type": "page",
        "markdown": markdown,
        "parent_block_id": None,
        "parent_input_database_id": tree["database"],
        "parent_input_page_id": tree["input_page"],
        "source_page_id": tree["page"],
        "depth": None,
        "block_order": None,
        "page_order": tree["order"],
        "block_raw": None,
    }
    return SourceRecord(id=tree["page"], data=data)
