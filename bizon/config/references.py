"""Environment variables in a configuration: where they come from and how values refer to them."""

import re
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

from bizon.common.errors.errors import ConfigError
from bizon.config.document import Document, KeyPath, dotted

WHOLE_VALUE = "BIZON_ENV_"
"""A text that starts like this is the name of a variable, as a whole."""

PUBLIC_KEYS = frozenset(
    {"name", "id", "stream", "type", "sync_mode", "format", "mode", "alias", "label", "database", "schema"}
    | {"destination_id", "cursor_field", "log_level", "source_file_path"}
)
"""Keys whose values are shown in messages and logs, also when they come from a variable."""

_TOKEN = re.compile(r"(?P<escape>\$?)\$\{(?P<scheme>[A-Za-z][\w+.-]*)://(?P<name>[^}]*)(?P<end>\}?)")
_SCHEMES = ("env",)
_MIN_SECRET = 4  # characters; a shorter one would blot out ordinary words
_CODE = ("transforms", "python")


class Resolved(NamedTuple):
    """``data`` with references replaced; ``secrets``: the values put in that must not appear in logs."""

    data: dict[str, Any]
    secrets: frozenset[str]


def load_env_files(config_path: str | Path, env_file: str | Path | None, environ: Mapping[str, str]) -> dict[str, str]:
    """The environment a configuration is resolved with. ``os.environ`` is not changed.

    The real environment wins, then ``env_file``, then ``.env`` in the working directory, then ``.env`` beside the
    configuration. In the values of files ``$`` and braces have no meaning. Raises ConfigError for an ``env_file`` that
    is missing, and for any file that cannot be read.
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
    from dotenv import dotenv_values  # most pipelines have no such file, and start sooner without it

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
    """Replace ``BIZON_ENV_NAME`` (a whole text) and ``${env://NAME}`` (anywhere in a text) by what is in ``environ``.

    ``$${env://NAME}`` stays as the text ``${env://NAME}``. The Python of transforms is left alone. Raises ConfigError
    with one line per reference that cannot be resolved.
    """
    problems: list[str] = []
    secrets: set[str] = set()

    def visit(value: Any, path: KeyPath) -> Any:
        if isinstance(value, dict):
            return {key: visit(item, (*path, key)) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [visit(item, (*path, index)) for index, item in enumerate(value)]
        if not isinstance(value, str) or (path[:1], path[2:]) == (_CODE[:1], _CODE[1:]):
            return value
        return resolve(value, path)

    def resolve(text: str, path: KeyPath) -> str:
        if text.startswith(WHOLE_VALUE):
            return variable(text, path)
        return _TOKEN.sub(lambda token: replace(token, path), text)

    def replace(token: re.Match[str], path: KeyPath) -> str:
        whole, scheme, name = token.group(), token["scheme"], token["name"]
        if token["escape"]:
            return whole[1:]
        if scheme not in _SCHEMES:
            problem(path, f"unknown reference ${{{scheme}://...}}; known: ${{env://NAME}}; $${{...}} keeps the text")
        elif not token["end"] or not name.strip():
            problem(path, "malformed reference; write ${env://NAME}")
        else:
            return variable(name.strip(), path)
        return whole

    def variable(name: str, path: KeyPath) -> str:
        value = environ.get(name)
        if value is None:
            word = re.match(r"\w*", name)
            known = word.group() if word else ""
            hint = "set it, or add it to .env"
            if known != name:
                hint = f"the whole text is taken as the name; inside a longer text write ${{env://{known}}}"
            problem(path, f"environment variable {known} is not set; {hint}")
            return ""
        if len(value) >= _MIN_SECRET and value.lower() not in ("true", "false") and path[-1] not in PUBLIC_KEYS:
            secrets.add(value)
        return value

    def problem(path: KeyPath, text: str) -> None:
        problems.append(f"{document.locate(path, value=True)}: {dotted(path)}: {text}")

    data = visit(document.data, ())
    if problems:
        raise ConfigError("\n".join(problems))
    return Resolved(data, frozenset(secrets))
