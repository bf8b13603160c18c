"""Behaviours of a source whose credentials are wrong."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from bizon.common.errors.errors import ExitCode, exit_code_of
from bizon.common.secret import Secret, iter_secrets
from bizon.common.secret_shapes import named_secrets
from bizon.engine.runner.sources import opened_source
from bizon.testing.source_masks import WRONG
from bizon.testing.source_subject import NotApplicable, Subject, broken, shown

if TYPE_CHECKING:
    from bizon.common.models import BizonConfig

_ABOUT_CREDENTIALS = re.compile(r"40[13]|auth|credential|token|passw|\bkey\b|permission|access|login|denied", re.I)
_WRONG = Secret(WRONG)


class CredentialBehaviours:
    """Part of ``SourceBehaviours``."""

    def test_wrong_credentials_say_so_in_one_line(self, subject: Subject) -> None:
        config = subject.wrong or _with_wrong_secrets(subject.config)
        if config is None:
            with subject.opened() as source:
                if source.session.auth is not None or any(named_secrets(subject.config.model_dump())):
                    broken("the source authenticates, and its configuration has no SecretText", "declare its secrets")
            raise NotApplicable("the configuration holds no secret")
        error = _end_of_a_run(subject, subject.pipeline_of(config))
        if error is None:
            if not subject.source_class.checks_credentials:
                raise NotApplicable("the source declares checks_credentials = False")
            broken("wrong credentials are accepted", "send a request that needs them in check_connection")
        code = exit_code_of(error)
        text = str(error)
        if code is not ExitCode.FAILED:
            broken(
                f"wrong credentials end with the exit code {code.value}: {shown(text)}", "let the API's refusal pass"
            )
        if "\n" in text.strip():
            broken(f"the error takes {len(text.splitlines())} lines: {shown(text)}", "say it in one line")
        if _ABOUT_CREDENTIALS.search(text) is None:
            broken(f"the error does not say that the credentials are wrong: {shown(text, 300)}", "return str(error)")


def _end_of_a_run(subject: Subject, pipeline: "BizonConfig") -> Exception | None:
    """The error with which a run ends before its first page has arrived."""
    try:
        with opened_source(pipeline) as source:
            subject.page(source, {})
    except Exception as error:  # noqa: BLE001 - whatever ends the run is what the user reads
        return error
    return None


def _with_wrong_secrets(config: Any) -> Any:
    """The model with another text in place of every secret. None when it holds none."""
    return _replaced(config) if any(iter_secrets(config)) else None


def _replaced(value: Any) -> Any:
    if isinstance(value, Secret):
        return _WRONG
    if isinstance(value, BaseModel):
        return value.model_copy(update={name: _replaced(item) for name, item in value})
    if isinstance(value, Mapping):
        return {key: _replaced(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_replaced(item) for item in value)
    return value
