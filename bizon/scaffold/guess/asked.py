"""The options of ``bizon source guess``: the API's address, its headers, its credentials. Secrets become references."""

import re
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from bizon.common.errors.errors import ConfigError
from bizon.common.secret import learn
from bizon.common.secret_shapes import is_secret_field
from bizon.connectors.sources.rest.src.template import literal

_REFERENCE = re.compile(r"BIZON_ENV_\w+|\$\{env://\w+\}")
_PUBLIC_HEADER = re.compile(r"(?i)accept(-.*)?|user-agent|content-type|.*version.*")
_SECRET_PARAM = re.compile(
    r"(?i).*(api_?key|secret|signature|passw|auth|(access|api|auth|private)[-_]?token).*|key|token|sig"
)
_ID = re.compile(r"(?i)\d+|[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{16,}")


class Asked(NamedTuple):
    """A list of an API. ``block``: the keys of ``source`` besides ``endpoints``; ``secrets``: the values behind the
    references in it; ``parent``: the path of the list whose record the address names, and its place in ``path``."""

    stream: str
    path: str
    params: dict[str, Any]
    block: dict[str, Any]
    secrets: dict[str, str]
    parent: "Parent | None"


class Parent(NamedTuple):
    """``/projects/12/issues`` belongs to a record of ``/projects``, and is ``/projects/{parent.id}/issues`` of each."""

    stream: str
    path: str
    children: str


def asked_for(url: str, headers: list[str], auth: str | None) -> Asked:
    """The request that the options describe. Raises ConfigError, which repeats no value."""
    parts = _split(url)
    secrets: dict[str, str] = {}
    block: dict[str, Any] = {}
    given = {name: _kept(name, value, secrets) for name, value in map(_header, headers)}
    params: dict[str, Any] = {}
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        each = _reference(name, value, secrets) if _is_credential(name) else literal(value)
        params[name] = [*_as_list(params[name]), each] if name in params else each
    for name, value in parse_qsl(parts.fragment):  # a page of a login ends there, and the token is not sent
        if _is_credential(name):
            learn(value)
    if auth is None and parts.username:
        auth = f"basic:{unquote(parts.username)}:{unquote(parts.password or '')}"
    base, path, stream, parent = _divided(parts.path)
    host = parts.netloc.rpartition("@")[2]
    block["base_url"] = f"{parts.scheme}://{host}{base}"
    if auth is not None:
        block["authentication"] = _authentication(auth, secrets)
    if given:
        block["defaults"] = {"headers": given}
    return Asked(stream, path, params, block, secrets, parent)


def _split(url: str) -> Any:
    try:
        parts = urlsplit(url)
        is_complete = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_complete = False
    if not is_complete:
        raise ConfigError("URL: must be the address of a list, like https://api.example.com/v2/orders")
    return parts


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not re.fullmatch(r"[\w!#$%&'*+.^`|~-]+", name) or not value.strip():
        raise ConfigError("--header: must be 'Name: value'")
    return name, value.strip()


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _kept(name: str, value: str, secrets: dict[str, str]) -> str:
    return literal(value) if _PUBLIC_HEADER.fullmatch(name) else _reference(name, value, secrets)


def _is_credential(name: str) -> bool:
    return is_secret_field(name) or _SECRET_PARAM.fullmatch(name) is not None


def _reference(name: str, value: str, secrets: dict[str, str]) -> str:
    """A reference to a variable in place of a secret; a value that is a reference stays."""
    if _REFERENCE.fullmatch(value):
        return value
    plain = variable = "BIZON_ENV_" + re.sub(r"\W+", "_", name).strip("_").upper()
    number = 1
    while secrets.get(variable, value) != value:  # a header and a parameter of one name
        number += 1
        variable = f"{plain}_{number}"
    secrets[variable] = learn(value)
    return variable


def _authentication(text: str, secrets: dict[str, str]) -> dict[str, Any]:
    kind, _, value = text.partition(":")
    if kind == "bearer" and value:
        return {"type": "bearer", "params": {"token": _reference("API_TOKEN", value, secrets)}}
    user, colon, password = value.partition(":")
    if kind == "basic" and user and colon:
        params = {"username": user}
        if password:
            params["password"] = _reference("API_PASSWORD", password, secrets)
        return {"type": "basic", "params": params}
    raise ConfigError("--auth: must be bearer:TOKEN or basic:USER:PASSWORD; for an API key use --header 'Name: key'")


def _divided(path: str) -> tuple[str, str, str, Parent | None]:
    """The path of the API, the path of the list below it, its name, and its parent."""
    steps = [step for step in path.split("/") if step]
    named = [at for at, step in enumerate(steps) if not _ID.fullmatch(step)]
    if not named:
        return "", path or "/", "items", None
    last, above = named[-1], named[-2] if len(named) > 1 else None
    stream = _name_of(steps[last])
    if above is None or above + 2 != last:
        return _joined(steps[:last]), _joined(steps[last:]), stream, None
    begin, end = _joined(steps[above : above + 1]), _joined(steps[last:])
    parent = Parent(_name_of(steps[above]), begin, f"{begin}/{{parent.id}}{end}")
    return _joined(steps[:above]), _joined(steps[above:]), stream, parent


def _joined(steps: list[str]) -> str:
    return "".join(f"/{literal(step)}" for step in steps)


def _name_of(step: str) -> str:
    """A name for a stream: without the ending of a file."""
    name = re.sub(r"\W+", "_", re.sub(r"\.(json|csv|xml|ndjson|jsonl)$", "", unquote(step))).strip("_").lower()
    return name or "items"
