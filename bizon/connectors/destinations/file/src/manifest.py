"""Which pipeline owns a file, and how far its job is: ``.bizon/<file name>/manifest.json`` in the same folder."""

from enum import StrEnum
from typing import Any, NamedTuple

import orjson

from bizon.destination.models import Owner

_VERSION = 2
_OLDEST_READ = 1


class State(StrEnum):
    """How far the job named in the manifest is."""

    STAGING = "staging"
    PUBLISHING = "publishing"
    PUBLISHED = "published"
    STREAMING = "streaming"


class Manifest(NamedTuple):
    """Content of ``manifest.json``.

    ``fence``: when the job was created, in microseconds since 1970, and the number of the start that claimed the output
    last. ``written``: bizon wrote the content of the file. ``published_by``: the job that published it last.
    ``columns``: name and type of its inferred columns, in order; None for a file without.
    """

    owner: Owner
    job_id: str
    state: State
    fence: tuple[int, int]
    written: bool
    published_by: str | None
    columns: dict[str, str] | None = None

    def to_bytes(self) -> bytes:
        """As it is stored."""
        content = {
            "version": _VERSION,
            "pipeline": self.owner.pipeline,
            "source": self.owner.source,
            "stream": self.owner.stream,
            "job_id": self.job_id,
            "state": self.state.value,
            "fence": self.fence,
            "written": self.written,
            "published_by": self.published_by,
        }
        if self.columns is not None:
            content["columns"] = self.columns
        return orjson.dumps(content, option=orjson.OPT_INDENT_2) + b"\n"


def parse(text: bytes) -> Manifest:
    """The manifest in a text. Raises ValueError, KeyError or TypeError for other content."""
    content: dict[str, Any] = orjson.loads(text)
    if not _OLDEST_READ <= content["version"] <= _VERSION:
        raise ValueError(f"version {content['version']}")
    owner = Owner(content["pipeline"], content["source"], content["stream"])
    state = State(content["state"])
    if content["version"] == _OLDEST_READ:  # version 1 had neither fences nor files of others
        published_by = content["job_id"] if state is State.PUBLISHED else None
        return Manifest(owner, content["job_id"], state, (0, 0), written=True, published_by=published_by)
    created, start = content["fence"]
    return Manifest(
        owner,
        content["job_id"],
        state,
        (int(created), int(start)),
        written=content["written"] is True,
        published_by=content["published_by"],
        columns=content.get("columns"),
    )
