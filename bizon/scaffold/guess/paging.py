"""How an API divides a list into pages: what its answer shows, and what its parameters do. Only a paging whose second
page the source has read counts as confirmed."""

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from requests.utils import parse_header_links

from bizon.scaffold.guess.fields import ids_of
from bizon.scaffold.guess.shape import named, records_in, values_in

if TYPE_CHECKING:
    from bizon.connectors.sources.rest.src.answer import Answer
    from bizon.scaffold.guess.probe import Probe

Pages = dict[str, Any]

_SIZES = (
    "limit", "per_page", "page_size", "size", "pageSize", "perPage", "_limit", "_size", "count", "first",
    "page[size]", "page[limit]", "max_results", "maxResults", "$top", "rows",
)  # fmt: skip
_USUAL_SIZE = 100  # records per page, where the address names no size
_NUMBERS = ("page", "page[number]", "pageNumber", "page_number", "_page", "p", "pageIndex")
_OFFSETS = ("offset", "skip", "start", "startAt", "start_index", "page[offset]", "from", "_start", "$skip")
_KEYS = ("starting_after", "after", "after_id", "since_id", "start_after", "last_id")
_CURSORS = (
    "cursor", "page_token", "pageToken", "next_token", "nextToken", "NextToken", "after", "starting_after", "next",
    "_next", "marker", "page[cursor]", "start_cursor", "continuation", "bookmark", "page", "offset", "scroll_id",
)  # fmt: skip
_NEXT = re.compile(r"(?i).*(next|cursor|after|continuation|bookmark|marker|scroll_?id|pagetoken|page_token).*")
_MORE = re.compile(
    r"(?i)(has_?(more|next)(_?(page|items|results))?|more|is_?truncated|more_?(available|results|items))"
)
_LAST = re.compile(r"(?i)(is_?)?last(_?page)?|end_?of_?(list|records)")
_TOTAL = re.compile(
    r"(?i)(total|count|num_?found|hits)(_?(count|results|records|items|size|elements|rows|entries))?|.*_(total|count)"
)


class Paging(NamedTuple):
    """``pages``: the key of the configuration. ``params``: the size of a page, for a style that does not send it.
    ``why``: how that is known, for people."""

    pages: Pages
    params: dict[str, Any]
    why: str
    is_confirmed: bool


class Seen(NamedTuple):
    """An answer, its records, and the ids of all records that the first answer had. ``params``: of the address."""

    answer: "Answer"
    records: list[dict[str, Any]]
    known: list[Any]
    endpoint: dict[str, Any]
    params: dict[str, Any]

    @property
    def around(self) -> dict[tuple[str, ...], Any]:
        """The values around the records, by their keys."""
        return dict(values_in(self.answer.value, self.records))


def paging_of(seen: Seen, probe: "Probe") -> Paging:
    """The first paging that is confirmed; else what the answer shows, or none."""
    size, others = _size_in(seen.params)
    seen = seen._replace(endpoint={**seen.endpoint, "params": others})
    shown = list(_shown(seen, size))
    found = _confirmed(seen, shown, size, probe)
    if found is None and not size:
        size = _size_that_works(seen, probe)
        shorter = _with_size(seen, size, probe)
        found = None if shorter is None else _confirmed(shorter, _shown(shorter, size), size, probe)
    if found is None and not _are_ignored(seen, size, probe):
        found = _confirmed(seen, _tried(seen, size), size, probe)
    if found is None and shown:
        pages, why = shown[0]
        return Paging(pages, {}, f"{why}; its second page could not be read", is_confirmed=False)
    return found or Paging({"type": "none"}, {}, "no sign of pages; no usual parameter changed the answer", False)


def _confirmed(seen: Seen, candidates: Iterable[tuple[Pages, str]], size: Pages, probe: "Probe") -> Paging | None:
    """The first of some ways of paging whose second page the source reads."""
    lasting = size if not size or size["size_param"] in seen.params else {**size, "size": _USUAL_SIZE}
    for pages, why in candidates:
        if _leads_on(seen, pages, size, probe):
            is_sized = "size_param" in pages
            params = {} if is_sized or not size else {size["size_param"]: lasting["size"]}
            every = {**pages, **(lasting if is_sized else {}), **_total(seen)}
            return Paging(every, params, f"{why}; the second page was read", is_confirmed=True)
    return None


def _with_size(seen: Seen, size: Pages, probe: "Probe") -> Seen | None:
    """A shorter page, which may name a next one where the whole list did not."""
    if not size:
        return None
    answer = probe.answer({**seen.endpoint["params"], size["size_param"]: size["size"]})
    found = records_in(answer.value)
    return None if found is None else seen._replace(answer=answer, records=found.records)


def _shown(seen: Seen, size: Pages) -> Iterator[tuple[Pages, str]]:
    """Signs of the next page in the answer itself."""
    links = parse_header_links(seen.answer.headers.get("Link") or "")
    if any("next" in each.get("rel", "").lower().split() for each in links):
        yield {"type": "link_header"}, "the header Link has rel=next"
    for name, value in seen.answer.headers.items():
        if _NEXT.fullmatch(name) and re.match(r"https?://|/|\?", value):
            yield {"type": "link_header", "header": name}, f"the header {name} is the address of the next page"
    more = _more(seen)
    signs = [(keys, value) for keys, value in seen.around.items() if any(map(_NEXT.fullmatch, keys)) and _names(value)]
    for keys, value in sorted(signs, key=lambda sign: len(sign[0])):
        place = named(keys)
        if isinstance(value, str) and re.match(r"https?://|/|\?", value):
            yield {"type": "next_url", "next": place}, f"'{place}' is the address of the next page"
    for keys, value in sorted(signs, key=lambda sign: len(sign[0])):
        place = named(keys)
        if not (isinstance(value, str) and "://" in value):
            for param in _params_for(keys[-1]):
                pages = {"type": "cursor", "param": param, "next": place, **more, **size}
                yield pages, f"'{place}' is sent as '{param}'"


def _tried(seen: Seen, size: Pages) -> Iterator[tuple[Pages, str]]:
    """Parameters that many APIs have. ``size``: a size that leaves more than one page, if one is known."""
    more = _more(seen)
    if more and isinstance(seen.endpoint["id"], str):
        for param in _KEYS:
            yield _keyset(param, seen, {**more, **size}), f"the last id is sent as '{param}'"
    given = [name for name in seen.params if name in (*_NUMBERS, *_OFFSETS)]
    for param in dict.fromkeys([*given, *_NUMBERS, *_OFFSETS]):
        if param in _NUMBERS:
            for start in (1, 0):
                pages = {"type": "page", "param": param, "start": start, **more, **size}
                yield pages, f"'{param}' is the number of a page"
        elif param in _OFFSETS:
            yield (
                {"type": "offset", "param": param, **more, **size},
                f"'{param}' is the number of records before a page",
            )
    if not more and isinstance(seen.endpoint["id"], str):
        for param in _KEYS:
            yield _keyset(param, seen, size), f"the last id is sent as '{param}'"


def _keyset(param: str, seen: Seen, more: Pages) -> Pages:
    return {"type": "keyset", "param": param, "key": seen.endpoint["id"], **more}


def _leads_on(seen: Seen, pages: Pages, size: Pages, probe: "Probe") -> bool:
    """Whether the source reads the same first page with this paging, and then other records."""
    own = {name: value for name, value in seen.endpoint["params"].items() if name != pages.get("param")}
    if size and "size_param" not in pages:
        own[size["size_param"]] = size["size"]
    found = probe.pages({**seen.endpoint, "params": own, "pages": pages})
    if found is None or len(found) < 2 or not found[1]:
        return False
    first, second = (ids_of(records, seen.endpoint["id"]) for records in found)
    expected = seen.known[len(first) :][: len(second)]
    return first == seen.known[: len(first)] and set(first).isdisjoint(second) and second[: len(expected)] == expected


def _size_in(params: dict[str, Any]) -> tuple[Pages, dict[str, Any]]:
    """The size of a page that the address names, and the other parameters."""
    for name, value in params.items():
        if name in _SIZES and str(value).isdecimal() and int(value) > 0:
            return {"size_param": name, "size": int(value)}, {key: params[key] for key in params if key != name}
    return {}, params


def _size_that_works(seen: Seen, probe: "Probe") -> Pages:
    """A parameter that makes pages smaller, so that even a short list has two."""
    if len(seen.records) < 2:
        return {}
    half = max(len(seen.records) // 2, 1)
    together = probe.first_page(seen.endpoint, dict.fromkeys(_SIZES, half))
    if together is not None and len(together) == len(seen.records):
        return {}
    for name in _SIZES:
        found = probe.first_page(seen.endpoint, {name: half})
        if found is not None and len(found) == half:
            return {"size_param": name, "size": half}
    return {}


def _are_ignored(seen: Seen, size: Pages, probe: "Probe") -> bool:
    """Whether all parameters that may name a page change nothing when they are sent together."""
    id_, known = seen.endpoint["id"], seen.known
    every: dict[str, Any] = {**dict.fromkeys(_NUMBERS, 2), **dict.fromkeys(_OFFSETS, size.get("size", len(known)))}
    every |= dict.fromkeys(_KEYS, known[size.get("size", len(known)) - 1][-1])
    if size:
        every[size["size_param"]] = size["size"]
    found = probe.first_page(seen.endpoint, every)
    return found is not None and ids_of(found, id_) == known[: len(found)]


def _more(seen: Seen) -> Pages:
    for keys, value in seen.around.items():
        if isinstance(value, bool) and _MORE.fullmatch(keys[-1]):
            return {"more": named(keys)}
        if isinstance(value, bool) and _LAST.fullmatch(keys[-1]):
            return {"more": f"!{named(keys)}"}
    return {}


def _total(seen: Seen) -> Pages:
    """The number of records that the API says there are. One below the records of this page is something else."""
    for keys, value in seen.around.items():
        is_count = _TOTAL.fullmatch(keys[-1]) and "page" not in keys[-1].lower()
        if is_count and type(value) is int and value > len(seen.records):
            return {"total": named(keys)}
    return {}


def _names(value: Any) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool) and value != ""


def _params_for(key: str) -> list[str]:
    """The parameters that a cursor with this key may be sent as, the likeliest first."""
    own = re.sub(r"(?i)^next[_-]?", "", key)
    words = [word.lower() for word in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+", own)] or ["next"]
    spellings = ["_".join(words), words[0] + "".join(word.title() for word in words[1:]), "-".join(words)]
    return list(dict.fromkeys([*spellings, key, f"page[{spellings[0]}]", *_CURSORS]))
