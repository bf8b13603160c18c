"""A stream without records, made of the real answer of a stream that has some."""

import json
from typing import Any

from bizon.testing.source_faults import Answer, Fault
from bizon.testing.source_probe import Spot, spots, tried
from bizon.testing.source_subject import NotApplicable, Subject, broken, shown

_HINT = "give the suite an empty_config"


def emptied_page(subject: Subject) -> tuple[str, ...]:
    """The ids on the last page, once its list of records is emptied. Raises NotApplicable where the list cannot be
    found."""
    last = subject.pages[-1]
    if not last.ids and len(subject.pages) == 1:
        return ()
    if not subject.source_class.fetches_over_http:
        raise NotApplicable(f"the source declares fetches_over_http = False; {_HINT}")
    for spot in reversed(spots(subject, [last])):
        fault = _without_records(spot, len(last.ids))
        if fault is None:
            continue
        trial = tried(subject, spot, fault)
        if trial.error is not None:
            broken(
                f"{trial.path}: a list without records is an error: {shown(str(trial.error), 300)}",
                "an empty stream is a page with records=[] and next_pagination={}",
            )
        if trial.page is not None and trial.page.next_pagination:
            broken(
                f"{trial.path}: an empty last page asks for {shown(trial.page.next_pagination)}",
                "return next_pagination={} with the last page",
            )
        return () if trial.page is None else trial.page.ids
    raise NotApplicable(f"the list of records is not found in the answers of the API; {_HINT}")


def _without_records(spot: Spot, count: int) -> Fault | None:
    """A fault that empties the only list as long as the page. None where there is none, or more than one."""
    try:
        answer = spot.json
    except ValueError:
        return None
    found = list(_lists(answer, count)) if count else []
    if len(found) != 1:
        return None
    found[0].clear()
    body = json.dumps(answer).encode()
    return lambda real, _echo: Answer(real.status, [("Content-Type", "application/json")], body)


def _lists(value: Any, count: int) -> list[list[Any]]:
    """The lists of this length, without those inside of them."""
    if isinstance(value, list) and len(value) == count:
        return [value]
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [each for item in items for each in _lists(item, count)]
