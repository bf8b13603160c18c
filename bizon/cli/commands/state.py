"""``bizon status`` and ``bizon stream reset``."""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from bizon.cli.commands.state_config import state_config
from bizon.cli.files import for_each, in_folder_of_paths, loaded_from
from bizon.cli.output import say
from bizon.cli.text.status_lines import status_lines
from bizon.common.errors.errors import ExitCode
from bizon.common.scrub import Scrubber
from bizon.engine.runner.report import cancel_reset, report_on, request_reset

if TYPE_CHECKING:
    from bizon.common.models import BizonConfig
    from bizon.engine.runner.jobs import Withdrawn
    from bizon.engine.runner.pipeline_report import PipelineReport


def show(configs: Sequence[str], custom_source: str | None, env_file: str | None, *, as_json: bool) -> ExitCode:
    """Print how far each pipeline is. Only the state is contacted, and only its secrets are needed."""
    reports: list[PipelineReport] = []

    def show_one(config: str, _custom_source: str | None, env_file: str | None) -> ExitCode:
        report = _masked(report_on(state_config(config, env_file)))
        if not as_json:
            for line in ["", *status_lines(report)] if reports else status_lines(report):
                say(line)
        reports.append(report)
        return ExitCode.FAILED if report.has_failed else ExitCode.OK

    code = for_each(configs, custom_source, env_file, show_one)
    if as_json and reports:
        shown = [asdict(report) for report in reports]
        say(json.dumps(shown[0] if len(configs) == 1 else shown, indent=2, default=str))
    return code


def reset(config: str, custom_source: str | None, env_file: str | None, *, cancel: bool) -> None:
    """Record a reset in the state, on which the next run acts; with ``cancel``, withdraw one instead."""
    with in_folder_of_paths(config, custom_source, env_file) as (path, (custom_source, env_file)):
        pipeline = loaded_from(path, custom_source, env_file).config
        stream = f"{pipeline.source.name}.{pipeline.source.stream}"
        if cancel:
            say(_in_words(cancel_reset(pipeline), pipeline, stream))
            return
        request_reset(pipeline)
    say(f"The next run of '{pipeline.job_name}' fetches all of {stream} again and replaces the output.")


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
