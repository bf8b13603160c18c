"""Rows of a table, for people and for programs, without secrets."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import orjson

from bizon.cli.text.tables import shown_table
from bizon.destination.readable import Answer, Cell, Exact, number
from bizon.rows.exact_json import SentNumbers

if TYPE_CHECKING:
    from bizon.common.scrub import Scrubber

_SURROGATES = "surrogatepass"


def masked(answer: Answer, scrub: "Scrubber") -> Answer:
    """The answer without secrets; all else stays as it is."""
    names = [field.name for field in answer.columns]
    rows = [[_masked(name, cell, scrub) for name, cell in zip(names, row, strict=True)] for row in answer.rows]
    return Answer([field._replace(name=scrub(field.name)) for field in answer.columns], rows)


def table_of(answer: Answer, width: int) -> str:
    """The rows in lines of at most ``width``."""
    right = {place for place in range(len(answer.columns)) if _is_number([row[place] for row in answer.rows])}
    return shown_table([field.name for field in answer.columns], answer.rows, width, right)


def documents_of(answer: Answer) -> list[dict[str, Any]]:
    """The rows as JSON objects, for ``json_text``. A name that occurs again gets a number."""
    names: list[str] = []
    for field in answer.columns:
        name, count = field.name, 1
        while name in names:
            count += 1
            name = f"{field.name}_{count}"
        names.append(name)
    return [dict(zip(names, map(_as_json, row), strict=True)) for row in answer.rows]


def json_text(document: Any) -> str:
    """JSON whose ``Exact`` values are as they were stored."""
    return orjson.dumps(document, option=orjson.OPT_INDENT_2).decode()


def _as_json(cell: Cell) -> Any:
    if isinstance(cell, Exact):
        return orjson.Fragment(cell.encode())
    return cell if not isinstance(cell, str) else cell.encode("utf-8", _SURROGATES).decode("utf-8", "replace")


def _is_number(cells: Sequence[Cell]) -> bool:
    """Whether a column has numbers and nothing else."""
    found = [cell for cell in cells if cell is not None]
    return bool(found) and all(isinstance(cell, Exact) and isinstance(number(cell), Exact) for cell in found)


def _masked(name: str, cell: Cell, scrub: "Scrubber") -> Cell:
    """Text that holds a JSON object or array is masked as one, by its keys."""
    if not isinstance(cell, str):
        return cell
    if isinstance(number(cell), Exact) and isinstance(cell, Exact):
        return cell if scrub(cell) == cell else scrub(cell)
    if cell[:1] in ("{", "["):
        text = _masked_json(cell, scrub)
        return Exact(text) if isinstance(cell, Exact) else text
    (text,) = scrub.value({name: str(cell)}).values()
    return Exact(text) if isinstance(cell, Exact) and text == cell else text


def _masked_json(text: str, scrub: "Scrubber") -> str:
    numbers = SentNumbers()
    try:
        sent = numbers.loads(text)
    except ValueError:
        return scrub(text)
    kept = scrub.value(sent)
    return str(text) if kept == sent else numbers.dumps(kept)
