"""XML as JSON values."""

from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import ParseError

__all__ = ["ParseError", "XmlDocument", "as_list", "parsed"]

_TEXT = "#text"


class _NoDoctype(ElementTree.TreeBuilder):
    """Refuses declarations of a document type, which can make a small body expand without end."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise ValueError("a document type declaration is not accepted")


class XmlDocument(dict[str, Any]):
    """An XML document as an object. In it a list of one is its item, and an empty list may be absent."""


def parsed(text: str | bytes) -> XmlDocument:
    """The document. Raises ParseError, or ValueError for a document type declaration."""
    parser = ElementTree.XMLParser(target=_NoDoctype())
    root = ElementTree.fromstring(text, parser=parser)
    return XmlDocument({_name(root.tag): _element(root)})


def _element(element: ElementTree.Element) -> Any:
    """The attributes as ``@name``, the elements by name (a list when there are several), the text as ``#text``, or
    alone."""
    found: dict[str, Any] = {f"@{_name(name)}": value for name, value in element.attrib.items()}
    children: dict[str, list[Any]] = {}
    for child in element:
        children.setdefault(_name(child.tag), []).append(_element(child))
    found |= {name: values if len(values) > 1 else values[0] for name, values in children.items()}
    text = (element.text or "").strip()
    if not found:
        return text
    return {**found, _TEXT: text} if text else found


def _name(tag: str) -> str:
    return tag.rpartition("}")[2]


def as_list(found: Any, above: Any) -> Any:
    """The records of a document, in which a list of one is its item, and an empty one is absent. ``above``: the
    element around the records."""
    if isinstance(found, dict):
        return [found]
    return [] if found is None and above is not None else found
