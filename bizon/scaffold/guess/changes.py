"""Whether an API can be asked for what changed: a parameter of the usual ones that a date in the future makes empty."""

from typing import TYPE_CHECKING, NamedTuple

from bizon.scaffold.guess.fields import ids_of

if TYPE_CHECKING:
    from bizon.scaffold.guess.fields import ChangeField
    from bizon.scaffold.guess.paging import Seen
    from bizon.scaffold.guess.probe import Probe

_AFTER_A_FIELD = ("_gte", "__gte", "[gte]", "_after", "_since", "_from", "__gt", "_gt", "[gt]")
_USUAL = ("updated_since", "updated_after", "modified_since", "modified_after", "changed_since", "since", "_since",
          "updatedSince", "modifiedSince", "from")  # fmt: skip
_PAST = {"iso8601": "1990-01-01T00:00:00Z", "epoch": 631152000, "epoch_ms": 631152000000}
_FUTURE = {"iso8601": "2199-01-01T00:00:00Z", "epoch": 7226582400, "epoch_ms": 7226582400000}


class Changes(NamedTuple):
    """``since``: the parameter that filters by time; None when no usual one does."""

    field: "ChangeField"
    since: str | None


def changes_of(seen: "Seen", field: "ChangeField | None", probe: "Probe") -> Changes | None:
    """How changes can be asked for; None for records without a time of change."""
    if field is None or not field.is_change:
        return None
    last = field.selector.rpartition(".")[2].strip('"')
    params = [*(f"{last}{end}" for end in _AFTER_A_FIELD), *_USUAL]
    together = probe.first_page(seen.endpoint, dict.fromkeys(params, _FUTURE[field.format]))
    if not together:  # else all of them are ignored
        for param in params:
            if _filters(seen, param, field, probe):
                return Changes(field, param)
    return Changes(field, None)


def _filters(seen: "Seen", param: str, field: "ChangeField", probe: "Probe") -> bool:
    """Whether nothing changed after a date in the future, and all of the page after one in the past."""
    if probe.first_page(seen.endpoint, {param: _FUTURE[field.format]}) != []:
        return False
    every = probe.first_page(seen.endpoint, {param: _PAST[field.format]})
    return every is not None and ids_of(every, seen.endpoint["id"]) == ids_of(seen.records, seen.endpoint["id"])
