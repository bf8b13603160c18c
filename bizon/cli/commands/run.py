"""``bizon run``: from the options to the exit code."""

import os
from datetime import datetime
from typing import TYPE_CHECKING, cast

from bizon.cli.files import in_folder_of_paths
from bizon.cli.output import complain, error_text, report_error, say_if_possible
from bizon.cli.result import ResultFile, described
from bizon.cli.signals import before_leaving, graceful_stop, nothing_to_interrupt
from bizon.cli.text.conclusion import conclusion
from bizon.cli.text.console_logs import VERBOSE, console_logs, write_to_stderr
from bizon.cli.text.progress import progress_shown
from bizon.common.clock import as_utc
from bizon.common.errors.errors import ConfigError, ExitCode
from bizon.common.interpreter import tuned_for_pages
from bizon.common.scrub import Scrubber
from bizon.engine.engine import RunnerFactory
from bizon.engine.runner.models import RunnerStatus
from bizon.engine.runner.windows import Scope

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from bizon.cli.run_options import RunOptions
    from bizon.cli.text.progress import Write
    from bizon.common.models import BizonConfig
    from bizon.engine.runner.runner import AbstractRunner
    from bizon.engine.runner.streams import StreamsRunner
    from bizon.engine.runner.streams_status import StreamsStatus

_DEFAULT_LEVEL = "INFO"  # until the configuration is read


def run_pipeline(config: str, options: "RunOptions") -> ExitCode:
    """Run a pipeline once, in the folder that its paths are relative to, and report how it ended."""
    given = (options.custom_source, options.env_file, options.result_json)
    with in_folder_of_paths(config, *given) as (path, (custom_source, env_file, result_json)):
        return _run(path, options._replace(custom_source=custom_source, env_file=env_file, result_json=result_json))


def _run(config: str, options: "RunOptions") -> ExitCode:
    result = ResultFile(options.result_json)
    scrub = Scrubber()
    level = options.log_level or _DEFAULT_LEVEL
    try:
        result.start()
        before_leaving(lambda: result.fail(KeyboardInterrupt(), "interrupted before the run began"))
        scope = _scope(options)
        with console_logs(level, scrub) as logs:
            runner = RunnerFactory.create_from_yaml(
                config,
                env_file=options.env_file,
                overrides=options.overrides(),
                role=options.role,
                streams=options.streams,
                join=options.join,
            )
            runner.scope, runner.join_id = scope, options.join_id or ""
            settings = runner.bizon_config
            scrub = Scrubber.of_config(settings, runner.secrets)
            level = settings.engine.runner.log_level.value
            with graceful_stop(runner.stop, lambda: _quit(result)):
                with _progress_shown(runner) as write_above, tuned_for_pages():
                    logs.change(level, scrub, write_above)
                    status = runner.run()
                logs.change(level, scrub, write_to_stderr)
                return _conclude(status, settings, result, scrub)
    except BaseException as error:  # noqa: BLE001 - the last line of defence before the user
        result.fail(error, error_text(error, scrub))
        return report_error(error, scrub, with_traceback=level in VERBOSE)


def _scope(options: "RunOptions") -> Scope:
    """The part of the stream that the run fetches. Raises ConfigError for options that contradict each other, and for
    text that does not parse as a date."""
    since, until, everything = options.since, options.until, options.full_refresh
    if (since is not None or everything) and options.role == "consumer":
        raise ConfigError("--role consumer: --since, --until and --full-refresh are for the producer")
    if until is not None and since is None:
        raise ConfigError("--until needs --since")
    if since is not None and everything:
        raise ConfigError("--since and --full-refresh exclude each other; give one of them")
    if options.join_id is not None and not options.join:
        raise ConfigError("--join-id names the job that commands with --join share: give --join too")
    return Scope(_moment("--since", since), _moment("--until", until), everything)


def _moment(option: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return as_utc(datetime.fromisoformat(text))
    except ValueError:
        raise ConfigError(f"{option} {text}: not a date or a time; write 2026-01-31 or 2026-01-31T12:00:00Z") from None


def _progress_shown(runner: "AbstractRunner | StreamsRunner") -> "AbstractContextManager[Write]":
    if runner.bizon_config.has_separate_streams:
        from bizon.cli.text.streams import streams_shown

        return streams_shown(cast("StreamsRunner", runner))
    return progress_shown(runner.progress)


def _conclude(
    status: "RunnerStatus | StreamsStatus", settings: "BizonConfig", result: ResultFile, scrub: Scrubber
) -> ExitCode:
    """Report how a run ended. The exit code stays the same when the report cannot be written."""
    if isinstance(status, RunnerStatus):
        source = settings.source
        end = conclusion(status, result.seconds, publishes=not source.is_endless, max_iterations=source.max_iterations)
        known = described(status, None if status.error is None else scrub(status.error))
    else:
        from bizon.cli.text.streams import known_of_streams, streams_conclusion

        end = streams_conclusion(status, result.seconds, settings)
        known = known_of_streams(status, scrub)
    try:
        result.finish(known)
    except OSError as error:
        complain(f"--result-json {result.path}: cannot be written: {error.strerror}")
    nothing_to_interrupt()
    for line in end.err:
        complain(scrub(line))
    for line in end.out:
        say_if_possible(scrub(line))
    return end.exit_code


def _quit(result: ResultFile) -> None:
    """End the process at once, after a second signal: nothing that hangs can delay it."""
    result.fail(KeyboardInterrupt(), "quit by a second signal")
    os._exit(ExitCode.INTERRUPTED)
