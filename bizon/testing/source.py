"""The behaviours of every source, as tests that a source's own tests claim in one line.

    class TestMyApi(SourceConformance):
        @pytest.fixture
        def config(self, api):
            return {"name": "myapi", "stream": "users", "base_url": api.url, "authentication": ...}

``config`` returns the ``source`` block of a pipeline. Its server is the real API, or a stand-in with some records on
several pages. The suite puts faults between the source and that server: the server need not know any.

The same behaviours run without pytest, by ``bizon source test CONFIG``. Guide: docs/contributing/adding-sources.md.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from bizon.engine.engine import load_config_dict
from bizon.source.config import SourceConfig
from bizon.source.source import AbstractSource
from bizon.testing.source_behaviours import SourceBehaviours
from bizon.testing.source_subject import Subject

_DESTINATION = {"name": "logger"}  # a configuration has one; nothing is written to it


class SourceConformance(SourceBehaviours):
    """Behaviours of every source. Override the fixture ``config``.

    ``source_class``: the class, unless the ``source`` block names it. ``examples``: example pipelines that are not in
    the folder ``config`` of the source. Override the methods below for what the suite cannot know.
    """

    source_class: ClassVar[type[AbstractSource] | None] = None
    examples: ClassVar[Sequence[Path]] = ()

    @pytest.fixture
    def config(self) -> Mapping[str, Any]:
        """The ``source`` block to test, with credentials that are accepted."""
        # tells the author of a test what to override
        raise NotImplementedError(f"{type(self).__name__} needs a fixture config, see bizon/testing/source.py")

    def empty_config(self, config: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The block of a stream without records. None: the suite empties the list in an answer of the API."""
        return None

    def wrong_credentials(self, config: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """The block with credentials that the API refuses. None: every secret is replaced."""
        return None

    def change(self, config: Mapping[str, Any]) -> Collection[str] | None:
        """Change some records behind ``config`` and return their ids. Override it for a source that is incremental;
        None: the suite compares windows of the records that are there."""
        return None

    @pytest.fixture
    def subject(self, config: Mapping[str, Any]) -> Subject:
        """The source, as the behaviours receive it."""
        loaded = load_config_dict(self._pipeline(config), self.source_class)
        changes = type(self).change is not SourceConformance.change
        return Subject(
            loaded,
            empty=self._loaded(self.empty_config(config)),
            wrong=self._loaded(self.wrong_credentials(config)),
            change=(lambda: self.change(config) or ()) if changes else None,
            examples=self.examples,
        )

    def _loaded(self, block: Mapping[str, Any] | None) -> SourceConfig | None:
        return None if block is None else load_config_dict(self._pipeline(block), self.source_class).config.source

    def _pipeline(self, block: Mapping[str, Any]) -> dict[str, Any]:
        return {"name": "conformance", "source": dict(block), "destination": _DESTINATION}
