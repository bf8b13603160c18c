"""Environment variables in a configuration: their files, and the references of values to them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

from bizon.common.errors.errors import ConfigError
from bizon.config.document import PUBLIC_KEYS, Document, KeyPath, dotted
from bizon.config.strict import TextWithValues

WHOLE_VALUE = "BIZON_ENV_"
"""A text with this prefix is, as a whole, the name of a variable."""


_PLAIN_URL = re.compile(r"https?://[\w.-]+(?::\d+)?(?:/(?:[a-z]{1,12}|v\d+(?:\.\d+)*))*/?", re.ASCII)
"""The address of a service: a host, and words like ``api`` and ``v2``. Nothing in it can be a key."""

_TOKEN = re.compile(r"(?P<escape>\$?)\$\{(?P<scheme>[A-Za-z][\w+.-]*)://(?P<name>[^}]*)(?P<end>\}?)")
_SCHEMES = ("env",)
_MIN_SECRET = 4  # characters; masking shorter texts would hide ordinary words
_CODE = ("transforms", "python")


class Resolved(NamedTuple):
    """A document without references. ``secrets``: values of variables that must not appear in logs."""

    document: Document
    secrets: frozenset[str]


def load_env_files(config_path: str | Path, env_file: str | Path | None, environ: Mapping[str, str]) -> dict[str, str]:
    """The environment that resolves a configuration. ``os.environ`` is not changed.

    The real environment wins, then ``env_file``, then ``.env`` in the working directory, then ``.env`` next to the
    configuration. In the values of files ``$`` and braces are ordinary characters. Raises ConfigError when ``env_file``
    is missing, or a file cannot be read.
    """
    found = [Path(".env"), Path(config_path).absolute().parent / ".env"]
    if env_file is not None:
        if not _is_file(Path(env_file)):
            raise ConfigError(f"--env-file {env_file}: no such file")
        found.insert(0, Path(env_file))
    merged: dict[str, str] = {}
    for path in reversed([path for path in found if _is_file(path)]):
        merged |= _variables_in(path)
    return {**merged, **environ}


def _variables_in(path: Path) -> dict[str, str]:
    from dotenv import dotenv_values  # most pipelines have no such file, and start faster without it

    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or type(error).__name__}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not UTF-8 text; save the file in this encoding") from None
    values = dotenv_values(stream=StringIO(text), interpolate=False)
    return {name: value for name, value in values.items() if value is not None}


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # of a folder that may not be searched, or a name that is too long
        return False


def resolve_env(document: Document, environ: Mapping[str, str]) -> Resolved:
    """Replace ``BIZON_ENV_NAME`` (a whole text) and ``${env://NAME}`` (anywhere in a text) with values of ``environ``.

    A text with such values becomes a ``TextWithValues``. ``$${env://NAME}`` stays as the text ``${env://NAME}``. The
    Python of transforms is left alone. Raises ConfigError with one line per reference that cannot be resolved.
    """
    return _Resolver(document, environ).resolved()


class _Resolver:
    """Replaces the references of one document, and collects the mistakes in them and the secrets behind them."""

    def __init__(self, document: Document, environ: Mapping[str, str]) -> None:
        self._document = document
        self._environ = environ
        self._problems: list[str] = []
        self._secrets: set[str] = set()

    def resolved(self) -> Resolved:
        """The document without references. Raises ConfigError."""
        data = self._value(self._document.data, ())
        if self._problems:
            raise ConfigError("\n".join(self._problems))
        return Resolved(replace(self._document, data=data), frozenset(self._secrets))

    def _value(self, value: Any, path: KeyPath) -> Any:
        if isinstance(value, dict):
            return {key: self._value(item, (*path, key)) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._value(item, (*path, index)) for index, item in enumerate(value)]
        if not isinstance(value, str) or (path[:1], path[2:]) == (_CODE[:1], _CODE[1:]):
            return value
        if value.startswith(WHOLE_VALUE):
            return TextWithValues.of_parts(((self._variable(value, path), True),))
        parts = tuple(self._parts(value, path))
        return TextWithValues.of_parts(parts) if len(parts) > 1 else value

    def _parts(self, text: str, path: KeyPath) -> Iterator[tuple[str, bool]]:
        """The parts of a text, each with whether it is the value of a variable."""
        end = 0
        for token in _TOKEN.finditer(text):
            yield text[end : token.start()], False
            yield self._token(token, path)
            end = token.end()
        yield text[end:], False

    def _token(self, token: re.Match[str], path: KeyPath) -> tuple[str, bool]:
        whole, scheme, name = token.group(), token["scheme"], token["name"]
        if token["escape"]:
            return whole[1:], False
        if scheme in _SCHEMES and token["end"] and name.strip():
            return self._variable(name.strip(), path), True
        text = "malformed reference; write ${env://NAME}"
        if scheme not in _SCHEMES:
            text = f"unknown reference ${{{scheme}://...}}; known: ${{env://NAME}}; $${{...}} keeps the text"
        self._report(path, text)
        return whole, False

    def _variable(self, name: str, path: KeyPath) -> str:
        value = self._environ.get(name)
        if value is None:
            word = re.match(r"\w*", name)
            known = word.group() if word else ""
            hint = "set it, or add it to .env"
            if known != name:
                hint = f"the whole text is taken as the name; inside a longer text write ${{env://{known}}}"
            self._report(path, f"environment variable {known} is not set; {hint}")
            return ""
        if _may_be_secret(value, path[-1]):
            self._secrets.add(value)
        return value

    def _report(self, path: KeyPath, text: str) -> None:
        self._problems.append(f"{self._document.locate(path, value=True)}: {dotted(path)}: {text}")


def _may_be_secret(value: str, key: str | int) -> bool:
    if len(value) < _MIN_SECRET or value.lower() in ("true", "false") or key in PUBLIC_KEYS:
        return False
    return not (str(key).endswith("url") and _PLAIN_URL.fullmatch(value))
