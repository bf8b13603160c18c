"""``bizon run``: from the flags to the exit code."""

import os
from typing import TYPE_CHECKING, NamedTuple

from bizon.cli.guard import error_text, report_error
from bizon.cli.logs import VERBOSE, console_logs, write_to_stderr
from bizon.cli.output import complain, say_if_possible
from bizon.cli.overrides import flag_overrides, run_scope
from bizon.cli.paths import absolute_path, in_folder_of_paths
from bizon.cli.progress import progress_shown
from bizon.cli.render import conclusion
from bizon.cli.result import ResultFile
from bizon.cli.signals import before_leaving, graceful_stop, nothing_to_interrupt
from bizon.common.errors.errors import ExitCode
from bizon.common.interpreter import tuned_for_pages
from bizon.common.scrub import Scrubber
from bizon.common.secret import iter_secrets
from bizon.engine.engine import RunnerFactory
from bizon.source.config import SourceSyncModes

if TYPE_CHECKING:
    from bizon.common.models import BizonConfig
    from bizon.engine.runner.models import RunnerStatus

_DEFAULT_LEVEL = "INFO"  # until the configuration is read


class RunFlags(NamedTuple):
    """The options of ``bizon run``; None for one that was not given."""

    custom_source: str | None = None
    runner: str | None = None
    log_level: str | None = None
    env_file: str | None = None
    result_json: str | None = None
    fresh: bool = False
    adopt: bool = False
    role: str | None = None
    full_refresh: bool = False
    since: str | None = None
    until: str | None = None


def run_pipeline(config: str, flags: RunFlags) -> ExitCode:
    """Run a pipeline once, in the folder that its paths are relative to, and say how it ended."""
    absolute = flags._replace(
        custom_source=absolute_path(flags.custom_source),
        env_file=absolute_path(flags.env_file),
        result_json=absolute_path(flags.result_json),
    )
    with in_folder_of_paths(config) as (path, is_elsewhere):
        return _run(path, absolute if is_elsewhere else flags)


def _run(config: str, flags: RunFlags) -> ExitCode:
    result = ResultFile(flags.result_json)
    scrub = Scrubber()
    level = flags.log_level or _DEFAULT_LEVEL
    overrides = flag_overrides(
        runner=flags.runner,
        log_level=flags.log_level,
        custom_source=flags.custom_source,
        fresh=flags.fresh,
        adopt=flags.adopt,
    )
    try:
        result.start()
        before_leaving(lambda: result.fail(KeyboardInterrupt(), "interrupted before the run began"))
        scope = run_scope(flags.since, flags.until, everything=flags.full_refresh, role=flags.role)
        with console_logs(level, scrub) as logs:
            runner = RunnerFactory.create_from_yaml(
                config, env_file=flags.env_file, overrides=overrides, role=flags.role
            )
            runner.scope = scope
            settings = runner.bizon_config
            scrub = Scrubber(runner.secrets.union(iter_secrets(settings)))
            level = settings.engine.runner.log_level.value
            with graceful_stop(runner.stop, lambda: _quit(result)):
                with progress_shown(runner.progress) as write_above, tuned_for_pages():
                    logs.change(level, scrub, write_above)
                    status = runner.run()
                logs.change(level, scrub, write_to_stderr)
                return _conclude(status, settings, result, scrub)
    except BaseException as error:  # noqa: BLE001 - the last line of defence before the user
        result.fail(error, error_text(error, scrub))
        return report_error(error, scrub, with_traceback=level in VERBOSE)


def _conclude(status: "RunnerStatus", settings: "BizonConfig", result: ResultFile, scrub: Scrubber) -> ExitCode:
    """Say how a run ended, where that is possible; where it is not, the exit code is the same."""
    end = conclusion(
        status,
        result.seconds,
        publishes=settings.source.sync_mode is not SourceSyncModes.STREAM,
        max_iterations=settings.source.max_iterations,
    )
    try:
        result.finish(status, None if status.error is None else scrub(status.error))
    except OSError as error:
        complain(f"--result-json {result.path}: cannot be written: {error.strerror}")
    nothing_to_interrupt()
    for line in end.err:
        complain(scrub(line))
    for line in end.out:
        say_if_possible(scrub(line))
    return end.exit_code


def _quit(result: ResultFile) -> None:
    """Leave without another word, after a second signal: whatever hangs, hangs no longer."""
    result.fail(KeyboardInterrupt(), "quit by a second signal")
    os._exit(ExitCode.INTERRUPTED)
