"""Behaviours of incremental runs: nothing twice, nothing lost."""

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from bizon.common.clock import as_utc
from bizon.source.cursor_resolution import cursor_resolution, floored
from bizon.source.models import SourceIncrementalState
from bizon.testing.source_rules import increments, needs
from bizon.testing.source_subject import NotApplicable, Page, Subject, broken, ids_of, listed

if TYPE_CHECKING:
    from bizon.source.config import SourceConfig

_LATER = timedelta(days=36_500)  # after every record
_COVERS = (
    "a window is last_run <= changed < run_started_at: ask the API for it, or filter with source_state.covers; declare "
    "cursor_resolution if the API cuts its times"
)


class IncrementalBehaviours:
    """Part of ``SourceBehaviours``."""

    @needs(increments)
    def test_an_incremental_run_without_changes_finds_nothing(self, subject: Subject) -> None:
        config = _filtered(subject)
        state = _state(subject, config, subject.began, last_state(subject.pages))
        found = _read(subject, config, state)
        known = {id_: data for page in subject.pages for id_, data in zip(page.ids, page.data, strict=True)}
        moments = _moments(subject)
        again = {
            id_
            for page in found
            for id_, data in zip(page.ids, page.data, strict=True)
            if known.get(id_) == data and moments.get(id_, datetime.min.replace(tzinfo=UTC)) < state.last_run
        }
        if again:
            broken(f"a run after which nothing changed finds {listed(again)} again", _COVERS)

    @needs(increments)
    def test_an_incremental_run_finds_exactly_what_changed(self, subject: Subject) -> None:
        config = subject.incremental
        unit = cursor_resolution(config)
        if subject.is_unfiltered:
            _check_whole(subject)
            return
        if subject.change is None:
            _check_windows(subject, config)
            return
        token = last_state(subject.pages)
        since = floored(datetime.now(UTC), unit)
        changed = set(subject.change())
        until = floored(datetime.now(UTC) + 2 * unit + timedelta(seconds=1), unit)
        state = SourceIncrementalState(
            last_run=since, state=token, cursor_field=config.cursor_field, run_started_at=until
        )
        found = set(ids_of(_read(subject, config, state)))
        just_before = {id_ for id_, moment in _moments(subject).items() if moment >= since} - changed
        _check_found(changed, found - just_before, f"after {listed(changed)} changed, a run")

    @needs(increments)
    def test_equal_timestamps_at_the_edge_of_a_window_are_not_lost(self, subject: Subject) -> None:
        config = _filtered(subject)
        moments = _known_moments(subject)
        unit = cursor_resolution(config)
        for edge in _edges(moments, unit):
            expected = {id_ for id_, moment in moments.items() if moment >= edge}
            found = set(ids_of(_read(subject, config, _state(subject, config, edge))))
            lost = expected - found
            if lost:
                broken(
                    f"the window that begins at {edge.isoformat()} lacks {listed(lost)}, which changed then or later",
                    "the beginning belongs to the window: if the API excludes its bound, ask for one unit less",
                )
            before = {id_ for id_, moment in moments.items() if moment < edge}
            first = SourceIncrementalState(
                last_run=min(moments.values()), cursor_field=config.cursor_field, run_started_at=edge
            )
            lost = before - set(ids_of(_read(subject, config, first)))
            if lost:
                broken(f"the window that ends at {edge.isoformat()} lacks {listed(lost)}", _COVERS)


def _check_windows(subject: Subject, config: "SourceConfig") -> None:
    moments = _known_moments(subject)
    for edge in _edges(moments, cursor_resolution(config)):
        expected = {id_ for id_, moment in moments.items() if moment >= edge}
        found = set(ids_of(_read(subject, config, _state(subject, config, edge)))).intersection(moments)
        _check_found(expected, found, f"the window that begins at {edge.isoformat()}")


def _check_found(expected: set[str], found: set[str], what: str) -> None:
    if expected - found:
        broken(f"{what} lacks {listed(expected - found)}", _COVERS)
    if found - expected:
        broken(f"{what} finds {listed(found - expected)}, which did not change in it", _COVERS)


def _check_whole(subject: Subject) -> None:
    """A stream of ``unfiltered_streams`` comes whole."""
    subject.needs_the_end()
    config = subject.incremental
    state = _state(subject, config, subject.began, last_state(subject.pages))
    lacking = set(subject.ids()) - set(ids_of(_read(subject, config, state)))
    if lacking:
        broken(
            f"an incremental run of '{config.stream}' lacks {listed(lacking)}, and unfiltered_streams has the stream",
            "take a stream that is filtered out of unfiltered_streams",
        )


def _filtered(subject: Subject) -> "SourceConfig":
    if subject.is_unfiltered:
        raise NotApplicable(f"the source declares '{subject.config.stream}' in unfiltered_streams")
    return subject.incremental


def _known_moments(subject: Subject) -> dict[str, datetime]:
    """When each record changed. Raises NotApplicable where the source does not go by time, or nothing tells."""
    subject.needs_the_end()
    if last_state(subject.pages):
        raise NotApplicable("the source continues from its next_state, not from a time")
    moments = _moments(subject)
    if len(set(moments.values())) < 2:
        raise NotApplicable(
            "records with two different moments are needed: set source.cursor_field to the field that has them"
        )
    return moments


def _moments(subject: Subject) -> dict[str, datetime]:
    """When each record of the first read changed, by the cursor field, else by its timestamp."""
    field, moments = subject.config.cursor_field, {}
    for page in subject.pages:
        for id_, data, timestamp in zip(page.ids, page.data, page.moments, strict=True):
            value = timestamp if field is None else _moment(json.loads(data).get(field))
            if value is not None and (field is not None or value < subject.began):  # else it is when the page arrived
                moments[id_] = as_utc(value)
    return moments


def _moment(value: Any) -> datetime | None:
    try:
        return as_utc(datetime.fromisoformat(value))
    except (TypeError, ValueError):
        return None


def _edges(moments: dict[str, datetime], unit: timedelta) -> list[datetime]:
    """A moment that several records share, if there is one, and one in the middle."""
    ordered = sorted(moments.values())
    shared = [each for each in ordered[1:] if ordered.count(each) > 1 and each > ordered[0]]
    edges = [*shared[:1], ordered[len(ordered) // 2]]
    return [edge for edge in dict.fromkeys(floored(edge, unit) for edge in edges) if edge > ordered[0]]


def _state(
    subject: Subject, config: "SourceConfig", last_run: datetime, state: dict[str, Any] | None = None
) -> SourceIncrementalState:
    unit = cursor_resolution(config)
    return SourceIncrementalState(
        last_run=floored(last_run, unit),
        state=state or {},
        cursor_field=config.cursor_field,
        run_started_at=floored(subject.began, unit) + _LATER,
    )


def _read(subject: Subject, config: "SourceConfig", state: SourceIncrementalState) -> list[Page]:
    with subject.opened(config) as source:
        return subject.read(source, state=state)


def last_state(pages: list[Page]) -> dict[str, Any]:
    """The state that a run leaves for the next one."""
    return next((page.next_state for page in reversed(pages) if page.next_state is not None), {})
