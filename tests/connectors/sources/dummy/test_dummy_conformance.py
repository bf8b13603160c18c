"""The dummy source keeps the contract of sources."""

from typing import Any

import pytest

from bizon.testing.source import SourceConformance


class TestDummy(SourceConformance):
    @pytest.fixture(params=["creatures", "plants"])
    def config(self, request: pytest.FixtureRequest) -> dict[str, Any]:
        authentication = {"type": "api_key", "params": {"token": "a-token-that-goes-nowhere"}}
        return {"name": "dummy", "stream": request.param, "authentication": authentication}
