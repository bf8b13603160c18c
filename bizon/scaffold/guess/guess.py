"""``bizon source guess``: from a few live answers of an API to a pipeline of the source ``rest``."""

from typing import TYPE_CHECKING, Any

from bizon.common.errors.errors import SourceFetchError
from bizon.scaffold.guess.changes import Changes, changes_of
from bizon.scaffold.guess.fields import change_field, id_of, ids_of
from bizon.scaffold.guess.paging import Paging, Seen, paging_of
from bizon.scaffold.guess.probe import Probe
from bizon.scaffold.guess.shape import Found, is_usual, lists_of_others, records_in
from bizon.scaffold.guess.written import pipeline_of

if TYPE_CHECKING:
    from bizon.connectors.sources.rest.src.answer import Answer
    from bizon.scaffold.guess.asked import Asked

_ONE = "[@]"  # a list of an answer that is one object


def guessed(asked: "Asked") -> str:
    """The YAML. Asks for about a hundred pages at most. Raises ConfigError and SourceFetchError, both on one line."""
    probe = Probe(asked)
    answer = probe.answer(asked.params)
    found = _records(answer)
    id_ = id_of(found.records, asked.stream)
    if id_ is None:
        raise answer.refused(f"the records at '{found.selector}' have no field, and no two fields, that identify them")
    basis = {"records": found.selector, "id": id_}
    known = ids_of(found.records, id_)
    seen = Seen(answer, found.records, known, {**basis, "params": asked.params}, asked.params)
    if found.selector == _ONE:
        paging = Paging({"type": "none"}, {}, "the answer is one object", is_confirmed=True)
    else:
        paging = paging_of(seen, probe)
    field = change_field(found.records)
    changes = changes_of(seen, field, probe)
    given = {name: value for name, value in asked.params.items() if name not in _names_of(paging.pages)}
    params = {**given, **paging.params}
    endpoint: dict[str, Any] = {"path": asked.path, **({"params": params} if params else {}), **basis}
    endpoint["pages"] = paging.pages
    if field is not None and field.format == "iso8601":
        endpoint["timestamp"] = field.selector
    if changes is not None and changes.since is not None:
        endpoint["incremental"] = _incremental(changes)
        endpoint["timestamp"] = changes.field.selector
    notes = {
        "records": f"{len(found.records)} records came in the first answer",
        "pages": f"{'Seen' if paging.is_confirmed else 'Not certain'}: {paging.why}",
        "incremental": "Seen: it leaves out what is older, and nothing for an early date",
    }
    return pipeline_of(asked, _rehearsed(endpoint, probe), notes, changes)


def _records(answer: "Answer") -> Found:
    """The list of records. Raises SourceFetchError for an answer without one."""
    found, others = records_in(answer.value), lists_of_others(answer.value)
    if found is not None and found.records and (others is None or is_usual(found.selector) or not is_usual(others)):
        return found
    if others is not None:
        raise answer.refused(f"the list at '{others}' does not hold objects, which records are")
    if found is not None or not isinstance(answer.value, dict) or _has_an_empty_list(answer.value):
        raise answer.refused("there is no record to look at: the list is empty")
    return Found(_ONE, [answer.value])


def _has_an_empty_list(value: Any) -> bool:
    return isinstance(value, dict) and any(item == [] or _has_an_empty_list(item) for item in value.values())


def _names_of(pages: dict[str, Any]) -> set[str]:
    """The parameters that paging sets."""
    return {pages[key] for key in ("param", "size_param") if key in pages}


def _incremental(changes: Changes) -> dict[str, Any]:
    layout = {} if changes.field.format == "iso8601" else {"format": changes.field.format}
    kind = {} if not layout else {"cursor_format": changes.field.format}
    return {"cursor_field": changes.field.selector, **kind, "since": {"param": changes.since, **layout}}


def _rehearsed(endpoint: dict[str, Any], probe: Probe) -> dict[str, Any]:
    """The endpoint, if the source can read it; else without what it stumbles over. Raises SourceFetchError."""
    pages = endpoint["pages"]
    smaller = {key: value for key, value in pages.items() if key not in ("size", "size_param")}
    plain = {key: value for key, value in endpoint.items() if key not in ("timestamp", "incremental")}
    for each in (endpoint, {**endpoint, "pages": smaller}, plain, {**plain, "pages": smaller}):
        if probe.pages(each, 1, is_last=True):
            return each
    raise SourceFetchError("the list cannot be read as it was guessed: ask again, with the address of another list")
