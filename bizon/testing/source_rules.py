"""Behaviours that the class of a source rules out, before anything is fetched."""

import inspect
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from bizon.source.config import SourceConfig
from bizon.source.discover import supports_incremental
from bizon.source.source import AbstractSource
from bizon.testing.source_subject import NotApplicable, Subject

Rule = Callable[[type[AbstractSource], SourceConfig | None], str | None]
"""Why a behaviour does not apply to a class with a configuration; None when it does. Without a configuration: why it
applies with none."""

_RULE = "rule"


def needs(rule: Rule) -> Callable[[Callable[[Any, Subject], None]], Callable[[Any, Subject], None]]:
    """Decorates a behaviour: it raises NotApplicable for a class that the rule excludes."""

    def decorated(behaviour: Callable[[Any, Subject], None]) -> Callable[[Any, Subject], None]:
        @wraps(behaviour)
        def tried(self: Any, subject: Subject) -> None:
            reason = rule(subject.source_class, subject.config)
            if reason is not None:
                raise NotApplicable(reason)
            behaviour(self, subject)

        setattr(tried, _RULE, rule)
        return tried

    return decorated


def ruled_out(behaviour: Any, source_class: type[AbstractSource]) -> str | None:
    """Why a class cannot have a behaviour; None when it can, or when only a run tells."""
    rule: Rule | None = getattr(behaviour, _RULE, None)
    return None if rule is None else rule(source_class, None)


def folder_of(source_class: type[AbstractSource]) -> Path | None:
    """The folder ``NAME`` of ``NAME/src/source.py``. None for a source in a file by itself."""
    path = Path(inspect.getfile(source_class)).parent
    return next((each.parent for each in (path, *path.parents) if each.name == "src"), None)


def http(source_class: type[AbstractSource], _config: SourceConfig | None) -> str | None:
    """A rule: the source fetches over HTTP."""
    return None if source_class.fetches_over_http else "the source declares fetches_over_http = False"


def increments(source_class: type[AbstractSource], config: SourceConfig | None) -> str | None:
    """A rule: the source can be incremental, and so can the stream where the configuration names the streams."""
    if not supports_incremental(source_class):
        return "the source has no get_records_after"
    if config is None or config.can_be_incremental:
        return None
    return f"the stream '{config.stream}' cannot be incremental"


def a_folder(source_class: type[AbstractSource], _config: SourceConfig | None) -> str | None:
    """A rule: the source has a folder, which is listed without an import."""
    is_custom = folder_of(source_class) is None
    return "the source is a custom file, which is imported to list its streams" if is_custom else None
