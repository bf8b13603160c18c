"""Nothing of a secret in anything that a source gives away."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from io import StringIO
from typing import Any

from bizon.common.log_bridge import standard_logging_bridged
from bizon.common.safe_log import logger
from bizon.common.secret import Secret, is_maskable, iter_secrets
from bizon.common.secret_forms import forms_of
from bizon.common.secret_shapes import is_secret_field, named_secrets
from bizon.testing.source_http import REFUSALS
from bizon.testing.source_probe import spots, tried
from bizon.testing.source_subject import NotApplicable, Subject, broken


class SecretBehaviours:
    """Part of ``SourceBehaviours``."""

    def test_secrets_are_declared_as_secret_text(self, subject: Subject) -> None:
        dumped = subject.config.model_dump()
        plain = [each for each in named_secrets(dumped) if not isinstance(each, Secret)]
        if plain:
            names = ", ".join(sorted(_plain_fields(dumped)))
            broken(
                f"the fields {names} hold secrets as plain text", "declare them as SecretText, of bizon.common.secret"
            )

    def test_no_output_shows_a_secret(self, subject: Subject) -> None:
        secrets = set(map(str.__str__, iter_secrets(subject.config))) | set(named_secrets(subject.config.model_dump()))
        forms = forms_of(filter(is_maskable, secrets))
        if not forms:
            raise NotApplicable("the configuration holds no secret")
        for place, text in list(_outputs(subject)):
            if any(form in text for form in forms):
                broken(
                    f"{place} shows a secret of the configuration",
                    "leave it out; log with bizon.common.safe_log, and declare secrets as SecretText",
                )


def _outputs(subject: Subject) -> Iterator[tuple[str, str]]:
    """Everything that a source gives away, and where."""
    with _captured() as text:
        with subject.opened() as source:
            reachable, reason = source.check_connection()
            total = source.get_total_records_count()
            pages = subject.read(source)
            shown = repr(source.config)
        yield "the reason of check_connection", f"{reachable} {reason} {total}"
        yield "repr() of the configuration", shown
        for number, page in enumerate(pages):
            yield f"next_pagination of page {number}, which the state keeps,", json.dumps(page.next_pagination)
            yield f"next_state of page {number}, which the state keeps,", json.dumps(page.next_state)
            yield f"page {number}", " ".join(page.data)
        yield from _errors(subject)
    yield "what the source prints or logs", text.getvalue()


def _errors(subject: Subject) -> Iterator[tuple[str, str]]:
    """The errors after answers that repeat the credentials."""
    with suppress(NotApplicable):
        for spot in spots(subject):
            for what, fault in REFUSALS.items():
                error = tried(subject, spot, fault).error
                yield f"the error after {what}", f"{error} {error!r}"


@contextmanager
def _captured() -> Iterator[StringIO]:
    """Within: what is printed, and what is logged as by a run."""
    text = StringIO()
    sink = logger.add(text, level="TRACE", format="{level} {name}: {message} {extra}")
    root = logging.getLogger()
    level = root.level
    try:
        with redirect_stdout(text), redirect_stderr(text), standard_logging_bridged():
            root.setLevel(logging.INFO)
            yield text
    finally:
        root.setLevel(level)
        logger.remove(sink)


def _plain_fields(value: Any) -> set[str]:
    if isinstance(value, list | tuple):
        return {each for item in value for each in _plain_fields(item)}
    if not isinstance(value, dict):
        return set()
    own = {key for key, item in value.items() if _is_plain(item) and is_secret_field(key)}
    return own.union(*map(_plain_fields, value.values()))


def _is_plain(value: Any) -> bool:
    return isinstance(value, str) and bool(value) and not isinstance(value, Secret)
