"""The identity of a run, for its destination and its monitor."""

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from bizon.source.config import SourceSyncModes

if TYPE_CHECKING:
    from bizon.common.models import BizonConfig


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

    @classmethod
    def from_bizon_config(cls, job_id: str, config: "BizonConfig") -> "SyncMetadata":
        """Build it for a job of a pipeline with a validated configuration."""
        return cls.model_construct(
            name=config.job_name,
            job_id=job_id,
            source_name=config.source.name,
            stream_name=config.source.stream,
            sync_mode=config.source.sync_mode,
            destination_name=config.destination.name.value,
            destination_alias=config.destination.alias,
        )
