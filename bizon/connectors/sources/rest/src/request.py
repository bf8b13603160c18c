"""One request for a page: the parts that the configuration describes, and what paging and windows add to them."""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

from bizon.connectors.sources.rest.src.template import as_text

PAGE = "{page}"
"""Stands in a path for the page, until paging says which."""


@dataclass
class Parts:
    """A request that is being built. ``path_page``: what ``finished`` puts in the place of ``PAGE`` in the URL; empty
    for a first page without a name."""

    method: str
    url: str
    params: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    json: Any = None
    path_page: Any = None

    def put(self, where: str, name: str, value: Any) -> None:
        """Set one parameter. In a JSON body ``name`` may be a path, whose objects are made where they are missing."""
        if where == "params":
            self.params[name] = value
        elif where == "header":
            self.headers[name] = as_text(value)
        elif where == "path":
            self.path_page = value
        else:
            *above, last = name.split(".")
            self.json = {} if self.json is None else self.json
            block = self.json
            for key in above:
                block = block.setdefault(key, {})
            block[last] = value

    def finished(self) -> "Parts":
        """The request, with the page in its path. Without a name, its place and the slash before it are left out."""
        if self.path_page is not None:
            place, name = quote(PAGE, safe=""), quote(as_text(self.path_page), safe="")
            self.url = self.url.replace(place if name else f"/{place}", name)
        return self

    def arguments(self) -> dict[str, Any]:
        """The arguments of ``Session.request`` besides method and URL."""
        params = {name: _texts(value) for name, value in self.params.items() if value is not None}
        found: dict[str, Any] = {"params": params, "headers": self.headers}
        return found if self.json is None else {**found, "json": self.json}


def is_same_host(url: str, base_url: str) -> bool:
    """Whether a URL has the scheme, host and port of the API, whose credentials it would get."""
    one, other = urlsplit(url), urlsplit(base_url)
    try:
        return (one.scheme, one.hostname, _port(one)) == (other.scheme, other.hostname, _port(other))
    except ValueError:
        return False


def joined(base_url: str, path: str) -> str:
    """The URL of a path below the base, or the path itself when it is a URL."""
    return path if "://" in path else f"{base_url.rstrip('/')}/{path.lstrip('/')}" if path else base_url


def _texts(value: Any) -> Any:
    return [as_text(item) for item in value] if isinstance(value, list) else as_text(value)


def _port(parts: Any) -> int | None:
    return parts.port or {"http": 80, "https": 443}.get(parts.scheme)
