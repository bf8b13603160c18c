"""The configuration of the source."""

from typing import Any

import pytest
from pydantic import ValidationError

from bizon.connectors.sources.notion.src.config import NotionSourceConfig

BARE = "1a44be1209534631b4989e5817518db8"
DASHED = "1a44be12-0953-4631-b498-9e5817518db8"


def config(stream: str, **keys: Any) -> NotionSourceConfig:
    authentication = {"type": "bearer", "params": {"token": "t"}}
    return NotionSourceConfig(name="notion", stream=stream, authentication=authentication, **keys)


def test_the_defaults_are_the_documented_ones() -> None:
    found = config("users")
    assert (found.database_ids, found.page_ids, found.database_filters) == ((), (), {})
    assert (found.fetch_blocks_recursively, found.max_recursion_depth) == (True, 5)
    assert (found.page_size, found.max_workers, found.skip_inaccessible) == (100, 3, False)
    assert (found.base_url, found.notion_version) == ("https://api.notion.com/v1", "2025-09-03")


def test_ids_may_be_written_without_dashes_and_twice() -> None:
    found = config("pages", database_ids=[BARE.upper(), DASHED], page_ids=[BARE], database_filters={BARE: {"and": []}})
    assert (found.database_ids, found.page_ids, found.database_filters) == ((DASHED,), (DASHED,), {DASHED: {"and": []}})


@pytest.mark.parametrize(
    ("stream", "keys", "message"),
    [
        ("databases", {"page_ids": [BARE]}, "needs database_ids; stream 'all_databases'"),
        ("data_sources", {}, "needs database_ids"),
        ("pages", {}, "needs database_ids or page_ids"),
        ("blocks", {}, "needs database_ids or page_ids"),
        ("blocks_markdown", {}, "needs database_ids or page_ids"),
        ("pages", {"page_ids": ["https://www.notion.so/x"]}, "is not an id"),
        ("pages", {"page_ids": ["../users"]}, "is not an id"),
        ("users", {"base_url": "api.notion.com"}, "http://"),
        ("users", {"page_size": 101}, "less than or equal to 100"),
        ("users", {"max_workers": 11}, "less than or equal to 10"),
        ("users", {"max_recursion_depth": 0}, "greater than or equal to 1"),
        ("users", {"notion_version": "latest"}, "pattern"),
    ],
)
def test_a_mistake_is_named(stream, keys, message) -> None:
    with pytest.raises(ValidationError, match=message):
        config(stream, **keys)


def test_a_mistake_in_the_file_has_exit_code_2(run_cli, write_config) -> None:
    source = {"name": "notion", "stream": "pages", "authentication": {"type": "api_key", "params": {"token": "t"}}}
    path = write_config({"name": "n", "source": source, "destination": {"name": "logger"}})
    done = run_cli("config", "validate", path)
    assert done.returncode == 2
    assert "stream 'pages' needs database_ids or page_ids" in done.stderr + done.stdout
