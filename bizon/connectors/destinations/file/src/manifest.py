"""Whose output a file is, and how far its job is: ``.bizon/<file name>/manifest.json`` beside the file."""

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import orjson

from bizon.common.errors.errors import DestinationConnectionError
from bizon.connectors.destinations.file.src.durable import make_folder, write_bytes

HIDDEN_FOLDER = ".bizon"
_VERSION = 1


class State(StrEnum):
    """How far the job named in the manifest is."""

    STAGING = "staging"
    PUBLISHING = "publishing"
    PUBLISHED = "published"
    STREAMING = "streaming"


@dataclass(frozen=True, slots=True)
class Owner:
    """The pipeline an output belongs to."""

    pipeline: str
    source: str
    stream: str

    @property
    def key(self) -> str:
        """Eight hex digits that stand for the owner in names of files."""
        return hashlib.sha256("\0".join((self.pipeline, self.source, self.stream)).encode()).hexdigest()[:8]

    def __str__(self) -> str:
        return f"pipeline '{self.pipeline}' ({self.source}.{self.stream})"


@dataclass(frozen=True, slots=True)
class Manifest:
    """Content of ``manifest.json``."""

    owner: Owner
    job_id: str
    state: State


class Output:
    """One main file, and the hidden folder beside it that holds everything not published yet."""

    def __init__(self, main: Path, owner: Owner, job_id: str) -> None:
        self.main = main
        self.owner = owner
        self.job_id = job_id
        self.folder = main.parent / HIDDEN_FOLDER / main.name
        self.manifest_path = self.folder / "manifest.json"

    def manifest(self) -> Manifest | None:
        """The manifest, or None. Raises DestinationConnectionError when it cannot be understood."""
        try:
            return _parse(self.manifest_path.read_bytes())
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise DestinationConnectionError(
                f"'{self.manifest_path}' cannot be understood ({error}); delete it to hand '{self.main}' to "
                f"{self.owner}"
            ) from error

    def own_state(self) -> State | None:
        """The state of this job, or None when the manifest is of another job or absent."""
        found = self.manifest()
        mine = found is not None and found.owner == self.owner and found.job_id == self.job_id
        return found.state if found is not None and mine else None

    def check_owner(self) -> None:
        """Raise DestinationConnectionError when another pipeline writes this file.

        A file without a manifest is taken over, and so is the name of a finished output that was deleted.
        """
        found = self.manifest()
        if found is None or found.owner == self.owner:
            return
        if not self.main.exists() and found.state in (State.PUBLISHED, State.STREAMING):
            return
        raise DestinationConnectionError(
            f"'{self.main}' belongs to {found.owner}, {self.owner} must not write it: use another destination_id, "
            f"or delete '{self.manifest_path}' to hand the file over"
        )

    def claim(self, state: State) -> None:
        """Write ``state`` of this job into the manifest unless it is there. Raises DestinationConnectionError."""
        self.check_owner()
        if self.own_state() is not state:
            make_folder(self.folder)
            self.mark(state)

    def mark(self, state: State) -> None:
        """Write the manifest, in one step."""
        content = {
            "version": _VERSION,
            "pipeline": self.owner.pipeline,
            "source": self.owner.source,
            "stream": self.owner.stream,
            "job_id": self.job_id,
            "state": state.value,
        }
        write_bytes(self.manifest_path, orjson.dumps(content, option=orjson.OPT_INDENT_2) + b"\n")


def _parse(text: bytes) -> Manifest:
    content = orjson.loads(text)
    if content["version"] != _VERSION:
        raise ValueError(f"version {content['version']}")
    owner = Owner(content["pipeline"], content["source"], content["stream"])
    return Manifest(owner, content["job_id"], State(content["state"]))
