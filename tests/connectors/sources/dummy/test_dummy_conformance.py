"""The dummy source keeps the contract of sources."""

from typing import Any, ClassVar

import pytest

from bizon.connectors.sources.dummy.src.source import DummySource
from bizon.testing.source import SourceConformance


@pytest.mark.matrix(share=6, pool="sources")
class TestDummy(SourceConformance):
    source_class = DummySource
    not_applicable: ClassVar = {
        "wrong_credentials_say_so_in_one_line": "checks_credentials = False",
        "an_empty_stream_works": "fetches_over_http = False",
    }

    @pytest.fixture(params=["creatures", "plants"])
    def config(self, request: pytest.FixtureRequest) -> dict[str, Any]:
        authentication = {"type": "api_key", "params": {"token": "a-token-that-goes-nowhere"}}
        return {"name": "dummy", "stream": request.param, "authentication": authentication}
