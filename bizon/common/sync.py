"""The identity of a run, for the destination and the monitor that serve it."""

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from bizon.destination.models import Owner, WriteMode
from bizon.source.config import SourceSyncModes

if TYPE_CHECKING:
    from bizon.common.models import BizonConfig

_WRITE_MODES = {
    SourceSyncModes.FULL_REFRESH: WriteMode.REPLACE,
    SourceSyncModes.INCREMENTAL: WriteMode.APPEND,
    SourceSyncModes.STREAM: WriteMode.IN_PLACE,
}


class SyncMetadata(BaseModel):
    """Identity of a run. ``sync_mode`` is a member of :class:`SourceSyncModes`, which compares equal to its text."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    name: str = Field(description="Pipeline name.")
    job_id: str = Field(description="Job of the run; a resumed run has the id of the job it resumes.")
    source_name: str
    stream_name: str
    sync_mode: SourceSyncModes
    destination_name: str
    destination_alias: str
    cursor_field: str | None = Field(default=None, description="Field that says when a record was changed.")
    replaces: bool = Field(default=False, description="Replace the output, also where the sync mode would append.")

    @property
    def in_place(self) -> bool:
        """True when rows reach their place as they come, and nothing is published."""
        return self.write_mode is WriteMode.IN_PLACE

    @property
    def write_mode(self) -> WriteMode:
        """How rows reach the output: as the sync mode says, unless this job replaces it."""
        return WriteMode.REPLACE if self.replaces else _WRITE_MODES[self.sync_mode]

    @property
    def owner(self) -> Owner:
        """The pipeline of the run, to which its output belongs."""
        return Owner(self.name, self.source_name, self.stream_name)

    @classmethod
    def from_bizon_config(cls, job_id: str, config: "BizonConfig", *, replaces: bool = False) -> "SyncMetadata":
        """Build it for a job of the pipeline, whose configuration is validated already."""
        return cls.model_construct(
            name=config.job_name,
            job_id=job_id,
            source_name=config.source.name,
            stream_name=config.source.stream,
            sync_mode=config.source.sync_mode,
            destination_name=str(config.destination.name),
            destination_alias=config.destination.alias,
            cursor_field=config.source.cursor_field,
            replaces=replaces,
        )
