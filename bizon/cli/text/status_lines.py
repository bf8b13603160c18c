"""The report on a pipeline in lines of text."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bizon.cli.text.words import counted, duration

if TYPE_CHECKING:
    from bizon.engine.runner.pipeline_report import PipelineReport

_PLACES_SHOWN = 8  # of a member


def status_lines(report: "PipelineReport") -> list[str]:
    lines = [f"Pipeline: {report.pipeline} ({report.source}.{report.stream})"]
    if report.job_id is None or report.age_seconds is None:
        lines.append("State: no run yet")
    else:
        state = f"{report.state}, but its run is gone: run again to resume" if report.was_killed else report.state
        is_known = report.total_records is not None and report.rows_written <= report.total_records
        may_be_window = report.state == "succeeded" and report.sync_mode != "full_refresh"
        of_total = f" of {report.total_records:,}" if is_known and not may_be_window else ""
        lines += [
            f"State: {state}",
            f"Job: {report.job_id}, {report.sync_mode}, created {duration(report.age_seconds)} ago, "
            f"{counted(report.starts, 'start')}",
            f"Checkpoint: {_checkpoint(report)}",
            f"Records: {report.rows_written:,}{of_total} committed",
        ]
        if report.is_fetching_ahead:
            lines.append(f"Fetched: {report.rows_fetched:,} records, up to iteration {report.fetched_iteration}")
        if report.dead_letters:
            lines.append(f"Dead letters: {report.dead_letters:,} committed")
        if report.values_rescued:
            lines.append(f"Rescued: {counted(report.values_rescued, 'value')} without room in a column")
    if report.records_per_second is not None:
        lag = "unknown" if report.lag is None else counted(report.lag, "record")
        lines.append(f"Stream: {report.records_per_second:,} records/s, lag {lag}, as noted at {report.noted_at}")
    lines += _leases(report)
    lines += [
        f"Part {part.partition}: {'held' if part.alive else 'left behind'} by process {part.pid} on host "
        f"'{part.host}', last heard from {duration(part.idle_seconds)} ago"
        for part in report.parts
    ]
    lines += [
        f"Member {each.member}: {'alive' if each.alive else 'left behind'}, process {each.pid} on host "
        f"'{each.host}', last heard from {duration(each.idle_seconds)} ago, {counted(len(each.places), 'place')}"
        f"{': ' if each.places else ''}{_some(each.places)}"
        for each in report.members
    ]
    if report.reset_pending:
        lines.append("Reset: requested, the next run fetches everything and replaces the output")
    if report.error is not None:
        lines.append(f"Error: {report.error}")
    return lines


def _leases(report: "PipelineReport") -> list[str]:
    held = [lease for lease in (report.lease, report.consumer_lease) if lease is not None]
    together = len({(lease.host, lease.pid) for lease in held}) == 1 < len(held)
    return [
        f"Lease{'' if together else f' of the {lease.role}'}: {'held' if lease.alive else 'left behind'} by process "
        f"{lease.pid} on host '{lease.host}' for {duration(lease.age_seconds)}, "
        f"last heard from {duration(lease.idle_seconds)} ago"
        for lease in (held[:1] if together else held)
    ]


def _some(places: Sequence[str]) -> str:
    more = f" and {len(places) - _PLACES_SHOWN} more" if len(places) > _PLACES_SHOWN else ""
    return ", ".join(places[:_PLACES_SHOWN]) + more


def _checkpoint(report: "PipelineReport") -> str:
    if report.joined and report.sync_mode == "stream":
        return f"one for each place, {counted(sum(each.alive for each in report.members), 'member')} alive"
    if report.joined:
        done, held = report.partitions - report.partitions_left, sum(part.alive for part in report.parts)
        return f"{done:,} of {report.partitions:,} parts are done, {held:,} held"
    if report.last_iteration is None:
        return "none"
    if not report.next_pagination:
        return f"iteration {report.last_iteration}, the last one"
    if report.partitions:
        return f"{report.partitions_left:,} of {report.partitions:,} partitions are left"
    return f"iteration {report.last_iteration}, continues at {json.dumps(report.next_pagination)}"
