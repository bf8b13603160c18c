"""``bizon check``: whether the source and the destination of a pipeline are reached and let us in."""

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from bizon.cli.files import in_folder_of_paths, loaded_from
from bizon.cli.output import error_text, say
from bizon.cli.text.console_logs import console_logs
from bizon.common.errors.errors import BizonError, ExitCode
from bizon.engine.looking import Attempt, attempts

if TYPE_CHECKING:
    from bizon.common.scrub import Scrubber

_LEVEL = "ERROR"  # without the retries: the line of the attempt says how it ended


@dataclass(frozen=True)
class _Answer:
    """One attempt in words. ``error`` holds no secret."""

    part: str
    tried: str
    ok: bool
    error: str | None


def check(config: str, custom_source: str | None, env_file: str | None, *, as_json: bool) -> ExitCode:
    """Print a line per attempt, or one JSON document. Raises ConfigError."""
    with in_folder_of_paths(config, custom_source, env_file) as (path, (custom_source, env_file)):
        loaded = loaded_from(path, custom_source, env_file)
        scrub = loaded.scrubber()
        code, answers = ExitCode.OK, []
        with console_logs(_LEVEL, scrub):
            for attempt in attempts(loaded):
                answers.append(_answer(attempt, scrub))
                code = max(code, _code(attempt))
                if not as_json:
                    say(_line(answers[-1]))
    if as_json:
        say(json.dumps({"ok": code is ExitCode.OK, "attempts": [asdict(answer) for answer in answers]}, indent=2))
    return code


def _code(attempt: Attempt) -> ExitCode:
    if attempt.error is None:
        return ExitCode.OK
    return attempt.error.exit_code if isinstance(attempt.error, BizonError) else ExitCode.FAILED


def _answer(attempt: Attempt, scrub: "Scrubber") -> _Answer:
    error = None if attempt.error is None else " ".join(error_text(attempt.error, scrub).split())
    return _Answer(attempt.part, scrub(attempt.tried), error is None, error)


def _line(answer: _Answer) -> str:
    outcome = "ok" if answer.error is None else "failed"
    line = f"{outcome:<6}  {answer.part:<11}  {answer.tried}"
    return line if answer.error is None else f"{line}: {answer.error}"
