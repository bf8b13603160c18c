"""The templates of new connectors: text files of the package, with placeholders and conditional lines.

``~{name}`` stands for a value: ``$`` and braces alone occur in the generated YAML, GraphQL and Python. The lines from
``%if A B`` (or ``%if not A B``) to ``%end`` stay when one of the facts holds; ``%else`` begins the alternative; blocks
nest. Every other line is text of the generated file, so a template reads like its result.
"""

import string
from collections.abc import Collection, Mapping
from importlib.resources import files


class _Template(string.Template):
    delimiter = "~"


def rendered(template: str, values: Mapping[str, str], facts: Collection[str]) -> str:
    """The text of a template, for example ``source/config.py``. Raises KeyError for a placeholder without a value, and
    ValueError for conditional lines that do not match: both are faults of the template."""
    text = files("bizon.scaffold").joinpath("templates", f"{template}.tmpl").read_text(encoding="utf-8")
    return filled(text, values, facts)


def filled(text: str, values: Mapping[str, str], facts: Collection[str]) -> str:
    """A text with its placeholders replaced, and without the lines whose facts do not hold."""
    return _Template(_chosen(text, facts)).substitute(values)


def _chosen(text: str, facts: Collection[str]) -> str:
    kept: list[str] = []
    blocks: list[bool] = []  # of each open block: whether its lines stay
    for line in text.splitlines(keepends=True):
        words = line.split()
        if not line.startswith("%"):
            if all(blocks):
                kept.append(line)
        elif words[0] == "%if":
            blocks.append(_holds(words[1:], facts))
        elif words in (["%else"], ["%end"]) and blocks:
            stays = blocks.pop()
            if words == ["%else"]:
                blocks.append(not stays)
        else:
            raise ValueError(f"not a line of a template: {line.rstrip()}")
    if blocks:
        raise ValueError("%if without %end")
    return "".join(kept)


def _holds(condition: list[str], facts: Collection[str]) -> bool:
    if condition[:1] == ["not"]:
        return not _holds(condition[1:], facts)
    return any(word in facts for word in condition)
