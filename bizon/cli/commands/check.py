"""``bizon check``: whether the source and the destination of a pipeline are reached and let us in."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from bizon.cli.files import each_loaded_from, in_folder_of_paths
from bizon.cli.output import error_text, say
from bizon.cli.text.console_logs import console_logs
from bizon.common.errors.errors import ExitCode, exit_code_of
from bizon.engine.looking import Attempt, attempts

if TYPE_CHECKING:
    from bizon.common.scrub import Scrubber
    from bizon.config.loading import LoadedConfig

_LEVEL = "ERROR"  # without the retries: the line of the attempt says how it ended

_OF_A_STREAM = ("destination", "dead letter")  # the name of a source has its stream


@dataclass(frozen=True)
class _Answer:
    """One attempt in words. ``error`` holds no secret."""

    part: str
    tried: str
    ok: bool
    error: str | None


def check(
    config: str, custom_source: str | None, env_file: str | None, *, stream: str | None, as_json: bool
) -> ExitCode:
    """Print a line per attempt, or one JSON document. Raises ConfigError, and SourceError for a source that does not
    say which streams it has."""
    with in_folder_of_paths(config, custom_source, env_file) as (path, (custom_source, env_file)):
        with console_logs(_LEVEL):
            each = each_loaded_from(path, custom_source, env_file, stream=stream)
        scrub = each[0].scrubber()
        code, answers = ExitCode.OK, []
        with console_logs(_LEVEL, scrub):
            for attempt in _attempts(each):
                answers.append(_answer(attempt, scrub))
                code = max(code, _code(attempt))
                if not as_json:
                    say(_line(answers[-1]))
    if as_json:
        say(json.dumps({"ok": code is ExitCode.OK, "attempts": [asdict(answer) for answer in answers]}, indent=2))
    return code


def _attempts(each: "list[LoadedConfig]") -> Iterator[Attempt]:
    """The attempts for each stream; the state, which they share, is tried once, at the end."""
    last = each[-1]
    for loaded in each:
        for attempt in attempts(loaded):
            if attempt.part != "state" or loaded is last:
                of = f" for {loaded.config.source.stream}" if len(each) > 1 and attempt.part in _OF_A_STREAM else ""
                yield attempt._replace(tried=attempt.tried + of)


def _code(attempt: Attempt) -> ExitCode:
    return ExitCode.OK if attempt.error is None else exit_code_of(attempt.error)


def _answer(attempt: Attempt, scrub: "Scrubber") -> _Answer:
    error = None if attempt.error is None else " ".join(error_text(attempt.error, scrub).split())
    return _Answer(attempt.part, scrub(attempt.tried), error is None, error)


def _line(answer: _Answer) -> str:
    outcome = "ok" if answer.error is None else "failed"
    line = f"{outcome:<6}  {answer.part:<11}  {answer.tried}"
    return line if answer.error is None else f"{line}: {answer.error}"
