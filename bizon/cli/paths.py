"""``paths: config``: the command works in the folder of the configuration.

So every relative path is of there, also one that a source of one's own opens or that a child process is given.
"""

import re
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path

from bizon.common.errors.errors import ConfigError
from bizon.config.document import load_yaml

_KEY = re.compile(rb"""^['"]?paths['"]?\s*:""", re.MULTILINE)


@contextmanager
def in_folder_of_paths(config: str) -> Iterator[tuple[str, bool]]:
    """Within: the working directory that the paths of a configuration are relative to. Yields the path of the
    configuration from there, and whether it is another directory than before."""
    if not _is_of_its_folder(config):
        yield config, False
        return
    path = Path(config).absolute()
    with chdir(path.parent):
        yield str(path), True


def absolute_path(path: str | None) -> str | None:
    """A path of an option: it is always relative to the directory the command was called in."""
    return None if path is None else str(Path(path).absolute())


def _is_of_its_folder(config: str) -> bool:
    """Reads the file once more only where it has the key; what is wrong with it is said when it is loaded."""
    try:
        return _KEY.search(Path(config).read_bytes()) is not None and load_yaml(config).data.get("paths") == "config"
    except (OSError, ValueError, ConfigError):
        return False
