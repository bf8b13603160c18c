"""``bizon status`` and ``bizon stream reset``: the state in the user's hands."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from bizon.cli.output import say
from bizon.cli.overrides import flag_overrides
from bizon.cli.render import counted, duration
from bizon.engine.engine import load_config
from bizon.engine.runner.report import report_on, request_reset

if TYPE_CHECKING:
    from bizon.common.models import BizonConfig
    from bizon.engine.runner.report import PipelineReport


def show(config: str, custom_source: str | None, env_file: str | None, *, as_json: bool) -> None:
    """Say how far the pipeline is. Nothing is contacted but the state."""
    report = report_on(_load(config, custom_source, env_file))
    if as_json:
        say(json.dumps(asdict(report), indent=2, default=str))
    else:
        for line in _lines(report):
            say(line)


def reset(config: str, custom_source: str | None, env_file: str | None) -> None:
    """File a request; the next run finds it."""
    pipeline = _load(config, custom_source, env_file)
    request_reset(pipeline)
    stream = f"{pipeline.source.name}.{pipeline.source.stream}"
    say(f"The next run of '{pipeline.job_name}' fetches all of {stream} again and replaces the output.")


def _load(config: str, custom_source: str | None, env_file: str | None) -> "BizonConfig":
    return load_config(config, env_file=env_file, overrides=flag_overrides(custom_source=custom_source)).config


def _lines(report: "PipelineReport") -> list[str]:
    lines = [f"Pipeline: {report.pipeline} ({report.source}.{report.stream})"]
    if report.job_id is None or report.age_seconds is None:
        lines.append("State: no run yet")
    else:
        state = f"{report.state}, but its run is gone: run again to resume" if report.was_killed else report.state
        is_known = report.total_records is not None and report.rows_written <= report.total_records
        of_total = f" of {report.total_records:,}" if is_known and report.state != "succeeded" else ""
        lines += [
            f"State: {state}",
            f"Job: {report.job_id}, {report.sync_mode}, created {duration(report.age_seconds)} ago, "
            f"{counted(report.starts, 'start')}",
            f"Checkpoint: {_checkpoint(report)}",
            f"Records: {report.rows_written:,}{of_total} committed",
        ]
        if report.dead_letters:
            lines.append(f"Dead letters: {report.dead_letters:,} committed")
    if report.records_per_second is not None:
        lag = "unknown" if report.lag is None else counted(report.lag, "record")
        lines.append(f"Stream: {report.records_per_second:,} records/s, lag {lag}, as noted at {report.noted_at}")
    lines += _leases(report)
    if report.reset_pending:
        lines.append("Reset: requested, the next run fetches everything and replaces the output")
    if report.error is not None:
        lines.append(f"Error: {report.error}")
    return lines


def _leases(report: "PipelineReport") -> list[str]:
    held = [lease for lease in (report.lease, report.consumer_lease) if lease is not None]
    together = len({(lease.host, lease.pid) for lease in held}) == 1 < len(held)
    return [
        f"Lease{'' if together else f' of the {lease.half}'}: {'held' if lease.alive else 'left behind'} by process "
        f"{lease.pid} on host '{lease.host}' for {duration(lease.age_seconds)}, "
        f"last heard of {duration(lease.idle_seconds)} ago"
        for lease in (held[:1] if together else held)
    ]


def _checkpoint(report: "PipelineReport") -> str:
    if report.last_iteration is None:
        return "none"
    if not report.next_pagination:
        return f"iteration {report.last_iteration}, the last one"
    return f"iteration {report.last_iteration}, going on at {json.dumps(report.next_pagination)}"
