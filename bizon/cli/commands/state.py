"""``bizon status`` and ``bizon stream reset``."""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from bizon.cli.commands.state_config import state_configs
from bizon.cli.files import each_loaded_from, for_each, in_folder_of_paths
from bizon.cli.output import say
from bizon.cli.text.status_lines import status_lines
from bizon.common.errors.errors import ExitCode
from bizon.common.scrub import Scrubber
from bizon.engine.runner.report import cancel_reset, report_on, request_reset

if TYPE_CHECKING:
    from bizon.common.models import BizonConfig
    from bizon.engine.runner.jobs import Withdrawn
    from bizon.engine.runner.pipeline_report import PipelineReport


def show(
    configs: Sequence[str], custom_source: str | None, env_file: str | None, *, stream: str | None, as_json: bool
) -> ExitCode:
    """Print how far each stream of each pipeline is. Only the state is contacted, and only its secrets are needed."""
    reports: list[PipelineReport] = []
    one_each = True

    def show_one(config: str, _custom_source: str | None, env_file: str | None) -> ExitCode:
        nonlocal one_each
        found = [_masked(report_on(each)) for each in state_configs(config, env_file, stream)]
        one_each = one_each and len(found) == 1
        for report in found if not as_json else ():
            for line in ["", *status_lines(report)] if reports or report is not found[0] else status_lines(report):
                say(line)
        if not (found or as_json):
            say(f"{config}: no stream has run yet")
        reports.extend(found)
        return ExitCode.FAILED if any(report.has_failed for report in found) else ExitCode.OK

    code = for_each(configs, custom_source, env_file, show_one)
    if as_json and (reports or not one_each):
        shown = [asdict(report) for report in reports]
        is_alone = len(configs) == 1 and one_each
        say(json.dumps(shown[0] if is_alone else shown, indent=2, default=str))
    return code


def reset(config: str, custom_source: str | None, env_file: str | None, *, stream: str | None, cancel: bool) -> None:
    """Record a reset in the state, on which the next run acts; with ``cancel``, withdraw one instead. For each stream,
    or for one."""
    with in_folder_of_paths(config, custom_source, env_file) as (path, (custom_source, env_file)):
        for loaded in each_loaded_from(path, custom_source, env_file, stream=stream):
            pipeline = loaded.config
            name = f"{pipeline.source.name}.{pipeline.source.stream}"
            if cancel:
                say(_in_words(cancel_reset(pipeline), pipeline, name))
                continue
            request_reset(pipeline)
            say(f"The next run of '{pipeline.job_name}' fetches all of {name} again and replaces the output.")


def _in_words(withdrawn: "Withdrawn", pipeline: "BizonConfig", stream: str) -> str:
    happened = f"The reset of {stream} is withdrawn"
    if withdrawn.job_id is not None:
        happened = f"{happened}, and job {withdrawn.job_id} is cancelled"
    elif not withdrawn.pending:
        happened = f"There was no reset of {stream} to withdraw"
    if not pipeline.source.is_incremental:
        return f"{happened}. In sync_mode full_refresh every job fetches everything and replaces the output."
    return f"{happened}. The next run of '{pipeline.job_name}' continues as if none had been requested."


def _masked(report: "PipelineReport") -> "PipelineReport":
    """The report without secrets. The state keeps paginations whole: a next link may carry a key or a token."""
    scrub = Scrubber()
    error = None if report.error is None else scrub.brief(report.error)
    return replace(report, next_pagination=scrub.value(report.next_pagination), error=error)
