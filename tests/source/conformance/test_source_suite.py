"""The suite for sources: a source that keeps the contract passes. Without hooks: test_source_shapes.py."""

import pytest
from items_api import SOURCE_FILE, ItemsApi, items_block
from pytest_httpserver import HTTPServer

from bizon.source.discover import load_custom_source
from bizon.testing.source import SourceConformance


@pytest.fixture
def api(httpserver: HTTPServer) -> ItemsApi:
    return ItemsApi(httpserver)


class TestItems(SourceConformance):
    source_class = load_custom_source(SOURCE_FILE)

    @pytest.fixture
    def config(self, api: ItemsApi):
        self.api = api
        return items_block(api)

    def empty_config(self, config):
        return {**config, "stream": "nothing"}

    def change(self, config):
        return self.api.change()


def test_a_test_without_its_configuration_says_what_is_missing() -> None:
    with pytest.raises(NotImplementedError, match="SourceConformance needs a fixture config"):
        SourceConformance.config.__wrapped__(SourceConformance())  # type: ignore[attr-defined]
