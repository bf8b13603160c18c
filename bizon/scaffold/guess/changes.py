"""Whether an API can be asked for what changed: a parameter of the usual ones that leaves out what is older."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from bizon.connectors.sources.rest.src.moments import Moments
from bizon.connectors.sources.rest.src.selector import selected
from bizon.scaffold.guess.fields import ids_of

if TYPE_CHECKING:
    from bizon.scaffold.guess.fields import ChangeField
    from bizon.scaffold.guess.paging import Seen
    from bizon.scaffold.guess.probe import Probe

_AFTER_A_FIELD = ("_gte", "__gte", "[gte]", "_after", "_since", "_from", "__gt", "_gt", "[gt]")
_USUAL = ("updated_since", "updated_after", "modified_since", "modified_after", "changed_since", "since", "_since",
          "updatedSince", "modifiedSince", "from")  # fmt: skip
_PAST = datetime(1990, 1, 1, tzinfo=UTC)


class Changes(NamedTuple):
    """``since``: the parameter that filters by time; None when no usual one does."""

    field: "ChangeField"
    since: str | None


def changes_of(seen: "Seen", field: "ChangeField | None", probe: "Probe") -> Changes | None:
    """How changes can be asked for; None for records without a time of change."""
    if field is None or not field.is_change:
        return None
    moments = Moments(field.format, "UTC")
    newest = moments.written(max(moments.read(selected(field.selector, each)) for each in seen.records))
    last = field.selector.rpartition(".")[2].strip('"')
    params = [*(f"{last}{end}" for end in _AFTER_A_FIELD), *_USUAL]
    together = probe.first_page(seen.endpoint, dict.fromkeys(params, newest))
    if together is None or ids_of(together, seen.endpoint["id"]) != seen.known:  # else all of them are ignored
        for param in params:
            if _filters(seen, param, newest, field, probe):
                return Changes(field, param)
    return Changes(field, None)


def _filters(seen: "Seen", param: str, newest: str | int, field: "ChangeField", probe: "Probe") -> bool:
    """Whether a parameter leaves out what is older than the newest record, and nothing when it names an early date."""
    moments = Moments(field.format, "UTC")
    found = probe.first_page(seen.endpoint, {param: newest})
    if found is None or ids_of(found, seen.endpoint["id"]) == seen.known:
        return False
    if any(moments.read(selected(field.selector, each)) < moments.read(newest) for each in found):
        return False
    every = probe.first_page(seen.endpoint, {param: moments.written(_PAST)})
    return every is not None and ids_of(every, seen.endpoint["id"]) == seen.known
