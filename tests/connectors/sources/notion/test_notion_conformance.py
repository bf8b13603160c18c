"""The Notion source keeps the contract of sources, on the stand-in."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest
from connectors.sources.notion.conftest import block_of
from standins.notion.content import LONG_AGO, Workspace
from standins.notion.server import NotionStandIn

from bizon.connectors.sources.notion.src.source import NotionSource
from bizon.testing.source import SourceConformance

LONGER_THAN_THE_OVERLAP = timedelta(minutes=10)  # of two windows
NO_PLACE = {"nothing_follows_the_last_page": "the pagination holds no text or number"}


@pytest.mark.matrix(share=6, pool="sources")
class NotionConformance(SourceConformance):
    """``stream``: the one to read. A database with ``count`` rows, each with two blocks, and an empty database."""

    source_class = NotionSource
    stream = ""
    count = 3

    @pytest.fixture
    def config(self, workspace: Workspace, notion: NotionStandIn) -> dict[str, Any]:
        self.workspace = workspace
        self.database, self.empty = (workspace.add_database(title) for title in ("Tasks", "Empty"))
        self.rows = [workspace.add_page(f"row {number}", database=self.database) for number in range(self.count)]
        for number, row in enumerate(self.rows):
            for each in (row, *workspace.add_tree(row, "paragraph", [2])):
                workspace.edit(each, LONG_AGO + number * LONGER_THAN_THE_OVERLAP)
        keys = {"database_ids": [self.database], "page_size": 2, "max_workers": 1}
        return block_of(notion, self.stream, **keys)

    def empty_config(self, config: Mapping[str, Any]) -> dict[str, Any]:
        return {**config, "database_ids": [self.empty]}

    def change(self, config: Mapping[str, Any]) -> list[str]:
        self.workspace.edit(self.rows[1], datetime.now(UTC))
        return self.records_of(self.rows[1])

    def records_of(self, row: str) -> list[str]:
        return self.workspace.children[row]


class TestPages(NotionConformance):
    stream = "pages"

    def records_of(self, row: str) -> list[str]:
        return [row]


class TestBlocks(NotionConformance):
    stream = "blocks"
    not_applicable = NO_PLACE


class TestBlocksMarkdown(NotionConformance):
    stream = "blocks_markdown"
    not_applicable = NO_PLACE


class TestAllPages(TestPages):
    stream = "all_pages"

    def empty_config(self, config: Mapping[str, Any]) -> None:
        return None


class TestUsers(NotionConformance):
    stream = "users"
    not_applicable: ClassVar = {
        "an_incremental_run_without_changes_finds_nothing": "'users' in unfiltered_streams",
        "equal_timestamps_at_the_edge_of_a_window_are_not_lost": "'users' in unfiltered_streams",
    }

    @pytest.fixture
    def config(self, workspace: Workspace, notion: NotionStandIn) -> dict[str, Any]:
        for name in ("a", "b", "c", "d"):
            workspace.add_user(name)
        return block_of(notion, self.stream, page_size=2, max_workers=1)

    def empty_config(self, config: Mapping[str, Any]) -> None:
        return None
