"""The files of a stream in groups, which several workers may read at once."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from bizon.connectors.sources.files.src.known_files import state_of
from bizon.connectors.sources.files.src.storage import FileInfo

_GROUPS = 32
_MOST_FILES = 50_000  # of a plan, which names each of them

Json = dict[str, Any]


def grouped(files: Sequence[FileInfo], smallest: int) -> list[Json]:
    """Plans of groups with about as many bytes each, ``smallest`` at least; none for a single group, or for more files
    than a plan can name. The first one has the state for the next run, which names all files as they were listed."""
    if len(files) > _MOST_FILES:
        return []
    target, filled = max(sum(file.size for file in files) // _GROUPS, smallest), 0
    groups: list[list[FileInfo]] = [[]]
    for file in files:
        if groups[-1] and filled + file.size > target:
            groups.append([])
            filled = 0
        groups[-1].append(file)
        filled += file.size
    if len(groups) == 1:
        return []
    plans: list[Json] = [
        {"files": [[*each[:2], each.modified.isoformat(), each.size] for each in group]} for group in groups
    ]
    plans[0]["state"] = state_of(files)
    return plans


def files_in(plan: Json) -> list[FileInfo]:
    """The files of a group, as they were listed."""
    return [
        FileInfo(path, version, datetime.fromisoformat(modified), size)
        for path, version, modified, size in plan["files"]
    ]
