"""A stream without records, made of the real answer of a stream that has some."""

import json
import re
from typing import Any

from bizon.testing.source_faults import Answer, Fault
from bizon.testing.source_probe import Spot, spots, tried
from bizon.testing.source_subject import NotApplicable, Subject, broken, shown

_HINT = "give the suite an empty_config"
_NUMBER_OF_RECORDS = re.compile("total|count|found|number|num_", re.IGNORECASE)


def emptied_page(subject: Subject) -> tuple[str, ...]:
    """The ids on the last page, once its list of records is emptied. Raises NotApplicable where the list cannot be
    found."""
    last = subject.pages[-1]
    if not last.ids:  # the API itself has answered without records, and the stream has ended
        return ()
    if not subject.source_class.fetches_over_http:
        raise NotApplicable(f"the source declares fetches_over_http = False; {_HINT}")
    for spot in reversed(spots(subject, [last])):
        fault = _without_records(spot, len(last.ids), len(subject.ids()))
        if fault is None:
            continue
        trial = tried(subject, spot, fault, times=1)  # requests that follow have their own answers
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


def _without_records(spot: Spot, count: int, total: int) -> Fault | None:
    """A fault that empties the only list as long as the page, and says 0 where the answer tells the total of all
    records. None where there is no such list, or more than one."""
    try:
        answer = spot.json
    except ValueError:
        return None
    found = list(_lists(answer, count))
    if len(found) != 1:
        return None
    found[0].clear()
    _say_zero(answer, total, is_number=False)
    body = json.dumps(answer).encode()
    return lambda real, _echo: Answer(real.status, [("Content-Type", "application/json")], body)


def _say_zero(value: Any, total: int, *, is_number: bool) -> None:
    """``is_number``: whether the key of the value, or one above it, is named like a number of records."""
    for key, each in value.items() if isinstance(value, dict) else ():
        counts = is_number or _NUMBER_OF_RECORDS.search(key) is not None
        if counts and type(each) is int and each == total:
            value[key] = 0
        _say_zero(each, total, is_number=counts)


def _lists(value: Any, count: int) -> list[list[Any]]:
    """The lists of this length, without those inside of them."""
    if isinstance(value, list) and len(value) == count:
        return [value]
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [each for item in items for each in _lists(item, count)]
