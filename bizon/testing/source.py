"""The behaviours of every source, as tests that a source's own tests claim in one line.

    class TestMyApi(SourceConformance):
        @pytest.fixture
        def config(self, api):
            return {"name": "myapi", "stream": "users", "base_url": api.url, "authentication": ...}

``config`` returns the ``source`` block of a pipeline. Its server is the real API, or a stand-in with some records on
several pages. The suite puts faults between the source and that server: the server need not know any.

The same behaviours run without pytest, by ``bizon source test CONFIG``, which also records and replays the HTTP of a
source. One that fetches in another way has nothing to record: its tests make the database or the files themselves.
Guide: docs/contributing/adding-sources.md.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from bizon.engine.engine import load_config_dict
from bizon.testing.source_behaviours import PREFIX, SourceBehaviours
from bizon.testing.source_rules import ruled_out
from bizon.testing.source_subject import NotApplicable, Subject, broken

if TYPE_CHECKING:
    from bizon.source.config import SourceConfig
    from bizon.source.source import AbstractSource

_DESTINATION = {"name": "logger"}  # a configuration has one; nothing is written to it


class SourceConformance(SourceBehaviours):
    """Behaviours of every source. Override the fixture ``config``.

    ``source_class``: the class, unless the ``source`` block names it. ``examples``: example pipelines that are not in
    the folder ``config`` of the source. ``not_applicable``: behaviours that the source cannot have, by their names
    without ``test_``, each with a part of the reason that the suite gives. Such a test passes for as long as the suite
    gives that reason, where an exception that is not declared is reported as skipped. Behaviours that ``source_class``
    rules out, such as incremental runs of a source without ``get_records_after``, are left out. Override the methods
    below for what the suite cannot know.
    """

    source_class: ClassVar[type["AbstractSource"] | None] = None
    examples: ClassVar[Sequence[Path]] = ()

    not_applicable: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls, **keywords: Any) -> None:
        """Put the declared exceptions in the place of their behaviours, and drop those that ``source_class`` rules out,
        so that none is reported as skipped. Raises ValueError for a name of none."""
        super().__init_subclass__(**keywords)
        for name, reason in vars(cls).get("not_applicable", {}).items():
            behaviour = getattr(SourceBehaviours, f"{PREFIX}{name}", None)
            if behaviour is None:
                raise ValueError(f"{cls.__name__}.not_applicable: there is no behaviour {name}")
            setattr(cls, f"{PREFIX}{name}", _excepted(behaviour, reason))
        if vars(cls).get("source_class") is not None:
            cls._leave_out(cls.source_class)

    @classmethod
    def _leave_out(cls, source_class: Any) -> None:
        """Drop the behaviours that the class of the source rules out. Those that a test class overrides, or declares as
        not applicable, stay."""
        for name in dir(SourceBehaviours):
            behaviour = getattr(SourceBehaviours, name)
            if name.startswith(PREFIX) and getattr(cls, name) in (behaviour, None):
                setattr(cls, name, None if ruled_out(behaviour, source_class) else behaviour)

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

    def _loaded(self, block: Mapping[str, Any] | None) -> "SourceConfig | None":
        return None if block is None else load_config_dict(self._pipeline(block), self.source_class).config.source

    def _pipeline(self, block: Mapping[str, Any]) -> dict[str, Any]:
        return {"name": "conformance", "source": dict(block), "destination": _DESTINATION}


def _excepted(behaviour: Callable[[Any, Subject], None], reason: str) -> Callable[[Any, Subject], None]:
    """A test that passes while a behaviour does not apply, for this reason."""

    def test(self: Any, subject: Subject) -> None:
        try:
            behaviour(self, subject)
        except NotApplicable as found:
            if reason not in str(found):
                broken(f"the behaviour does not apply because {found}", "give this reason in not_applicable")
            return
        broken("the behaviour applies, and not_applicable names it", "take it out of not_applicable")

    return test
