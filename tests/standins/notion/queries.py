"""Filters, sorts and pages of lists, as Notion's API has them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

Json = dict[str, Any]
MOST_LEVELS = 2
TIMES = {
    "on_or_after": lambda value, bound: value >= bound,
    "after": lambda value, bound: value > bound,
    "on_or_before": lambda value, bound: value <= bound,
    "before": lambda value, bound: value < bound,
    "equals": lambda value, bound: value == bound,
}
VALUES = {
    "equals": lambda value, bound: value == bound,
    "does_not_equal": lambda value, bound: value != bound,
    "greater_than": lambda value, bound: value is not None and value > bound,
    "contains": lambda value, bound: bound in (value or ""),
}


class RefusedError(Exception):
    """The API refuses a request. ``status`` and ``code`` as in its answer."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def matches(row: Json, condition: Json | None, level: int = 0) -> bool:
    """Whether a row fits a filter. Raises RefusedError for one that the API does not accept."""
    if condition is None:
        return True
    for name, test in (("and", all), ("or", any)):
        if name in condition:
            if level == MOST_LEVELS:
                raise RefusedError(400, "validation_error", "a compound filter may hold one more level, not two")
            return test([matches(row, each, level + 1) for each in condition[name]])
    if "timestamp" in condition:
        field = condition["timestamp"]
        ((operator, bound),) = condition[field].items()
        return bool(TIMES[operator](datetime.fromisoformat(row[field]), datetime.fromisoformat(bound)))
    found = row["properties"].get(condition["property"])
    if found is None:
        raise RefusedError(400, "validation_error", f"there is no property {condition['property']}")
    kind = found["type"]
    ((operator, bound),) = condition[kind].items()
    value = found[kind].get("name") if kind in ("select", "status") and found[kind] else found[kind]
    return bool(VALUES[operator](value, bound))


def ordered(rows: list[Json], sorts: Sequence[Json]) -> list[Json]:
    """The rows in the order of the sorts, which are by timestamps."""
    for each in reversed(sorts):
        rows = sorted(rows, key=lambda row: row[each["timestamp"]], reverse=each["direction"] == "descending")
    return rows


def page_of(results: list[Json], place: Json, *, cap: int | None = None, late_sign: bool = False) -> Json:
    """One page of a list. A cursor is the id of the next result. After ``cap`` results the list ends, with a sign on
    each of its pages, or only on the last one (``late_sign``)."""
    size = int(place.get("page_size", 100))
    if not 1 <= size <= 100:
        raise RefusedError(400, "validation_error", "page_size should be between 1 and 100")
    whole, results = results, results[:cap]
    start, cursor = 0, place.get("start_cursor")
    if cursor is not None:
        ids = [each["id"] for each in results]
        if cursor not in ids:
            raise RefusedError(400, "validation_error", "start_cursor is not valid")
        start = ids.index(cursor)
    end = start + size
    has_more = end < len(results)
    answer: Json = {
        "object": "list",
        "results": results[start:end],
        "has_more": has_more,
        "next_cursor": results[end]["id"] if has_more else None,
    }
    if len(whole) > len(results) and not (late_sign and has_more):
        answer["request_status"] = {"type": "incomplete", "incomplete_reason": "query_result_limit_reached"}
    return answer
