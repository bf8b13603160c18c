"""``BizonConfig``: one pipeline, as its YAML describes it."""

import os
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import (
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)

from bizon.common.errors.errors import ConfigError
from bizon.common.on_error import OnError
from bizon.common.sync import SyncMetadata
from bizon.config.selected import Selected
from bizon.config.streams import (
    ALL_STREAMS,
    StreamConfig,
    StreamsBlock,
    parts_of_one,
    valid_streams,
    with_record_schemas,
)
from bizon.config.strict import StrictModel
from bizon.destination.config import AbstractDestinationConfig, DestinationTypes
from bizon.engine.backend.models import StreamKey
from bizon.engine.config import EngineConfig
from bizon.engine.runner.config import RunnerTypes
from bizon.source.config import SourceConfig, SourceSyncModes
from bizon.transform.config import TransformModel

if TYPE_CHECKING:
    from bizon.config.many import SeparateStreams

__all__ = ["BizonConfig", "GenericSourceConfig", "PathsFrom", "StreamConfig", "SyncMetadata"]


class GenericSourceConfig(SourceConfig):
    """The ``source`` block before its connector is known. The keys of the connector are kept unchanged."""

    model_config = ConfigDict(extra="allow", frozen=True, hide_input_in_errors=True)


class PathsFrom(StrEnum):
    """The folder that relative paths are relative to."""

    WORKING_DIRECTORY = "working_directory"
    CONFIG = "config"


DESTINATIONS = Selected(
    "name",
    {  # Registration 2 of 3 of a destination: a line with its config class. A run imports only the class it needs.
        DestinationTypes.LOGGER: "bizon.connectors.destinations.logger.src.config.LoggerConfig",
        DestinationTypes.FILE: "bizon.connectors.destinations.file.src.config.FileDestinationConfig",
        DestinationTypes.DUCKDB: "bizon.connectors.destinations.duckdb.src.config.DuckdbConfig",
        DestinationTypes.POSTGRES: "bizon.connectors.destinations.postgres.src.config.PostgresConfig",
        DestinationTypes.BIGQUERY: "bizon.connectors.destinations.bigquery.src.config.BigQueryConfig",
        DestinationTypes.BIGQUERY_STREAMING: (
            "bizon.connectors.destinations.bigquery_streaming.src.config.BigQueryStreamingConfig"
        ),
        DestinationTypes.BIGQUERY_STREAMING_V2: (
            "bizon.connectors.destinations.bigquery_streaming_v2.src.config.BigQueryStreamingV2Config"
        ),
        DestinationTypes.CUSTOM: "bizon.destination.discover.OutsideDestinationConfig",
    },
    others="bizon.destination.discover.plugin_block",
    other_names="bizon.destination.discover.plugin_names",
)
"""The classes of the ``destination`` block."""


class BizonConfig(StrictModel):
    """A whole pipeline. Frozen: the single source of truth after loading.

    With separate streams it stands for all of them: ``for_stream`` gives the configuration of one, which is the one of
    a file with this stream alone. Its own ``source`` and ``destination`` are then copies of the first stream's.
    """

    name: str = Field(min_length=1, max_length=100, description="Name of the pipeline, shown everywhere.")
    id: str | None = Field(
        default=None,
        min_length=1,
        max_length=100,
        description="Key of the pipeline's checkpoints; default `name`. Set it to keep them after a rename.",
    )
    source: SourceConfig = Field(description="Where records come from.")
    transforms: list[TransformModel] = Field(
        default=[], description="Python snippets applied to each record, in order."
    )
    destination: Annotated[AbstractDestinationConfig, DESTINATIONS] = Field(description="Where records go.")
    on_error: OnError = Field(
        default=OnError.FAIL,
        description="A record that is not JSON, fails in a transform or does not fit its table: fail = end the run | "
        "skip = skip and count the record | dead_letter = write it to the dead-letter file, with the reason.",
    )
    dead_letter_path: str | None = Field(
        default=None,
        min_length=1,
        description="Path of the dead-letter file, without `.json`; default <destination_id>.dead_letters, next to the "
        "output.",
    )
    engine: EngineConfig = Field(default_factory=EngineConfig, description="State, queue and runner.")
    paths: PathsFrom = Field(
        default=PathsFrom.WORKING_DIRECTORY,
        description="Base of relative paths in this file, of `.env` and of files that a source opens: "
        "working_directory = the directory in which the command runs | config = the folder of this file. Paths in "
        "options are always relative to the former.",
    )
    streams: StreamsBlock = Field(
        default=None,
        description="Streams of the source that run side by side, instead of `source.stream`: names, or entries with "
        'keys of their own; "*" = all that the source offers. With `source.stream`, in sync mode `stream`: the parts '
        "of one stream, each with its own table. They supply defaults for the source and for `record_schemas`.",
    )
    _separate: "SeparateStreams | None" = PrivateAttr(default=None)
    _sharers: int = PrivateAttr(default=1)

    @property
    def sharers(self) -> int:
        """How many runs share the memory that a run of this file may take, this one included."""
        return self._sharers

    @property
    def job_name(self) -> str:
        """Key of the pipeline in the state tables."""
        return self.id or self.name

    @property
    def stream_key(self) -> StreamKey:
        """Key of the stream in the state: the owner of jobs and checkpoints. Raises ConfigError for several streams."""
        self.check_one_stream()
        return StreamKey(self.job_name, self.source.name, self.source.stream)

    @property
    def has_separate_streams(self) -> bool:
        """Whether this is a configuration of several streams that run side by side."""
        return self._separate is not None

    @property
    def stream_names(self) -> tuple[str, ...] | None:
        """The streams, in the order of the file; None when only the connection of the source knows them."""
        return (self.source.stream,) if self._separate is None else self._separate.names

    def check_one_stream(self) -> None:
        """Raise ConfigError for a configuration of several streams."""
        if self._separate is not None:
            named = "" if self._separate.names is None else f": {', '.join(self._separate.names)}"
            raise ConfigError(f"the pipeline has several streams; choose one with --stream{named}", key=("streams",))

    def check_streams(self, names: Iterable[str]) -> None:
        """Raise ConfigError unless the streams that a connection has named can run side by side, each with an output of
        its own."""
        if self._separate is not None:
            self._separate.check(names)

    def for_stream(self, name: str) -> "BizonConfig":
        """The configuration of one stream. Raises ConfigError for a stream that the pipeline does not have."""
        if self._separate is not None:
            return self._separate.config_of(name)
        if name != self.source.stream:
            raise ConfigError(
                f"the pipeline has the stream '{self.source.stream}', not '{name}'", key=("source", "stream")
            )
        return self

    def of_separate(self, streams: "SeparateStreams") -> Self:
        """The configuration of several streams, made from the one of the first. Called by the loader."""
        copy = self.model_copy(update={"source": self.source.model_copy(update={"stream": ALL_STREAMS})})
        copy._separate = streams  # noqa: SLF001 - of the same class
        return copy

    def shared_by(self, count: int, parts: Mapping[str, Any]) -> Self:
        """The configuration of one of ``count`` runs that share its memory. ``parts``: its parts of what is divided."""
        copy = self.model_copy(update=parts)
        copy._sharers = self._sharers * count  # noqa: SLF001 - of the same class
        return copy

    def of_source(self, source: Any) -> Self:
        """The configuration with a source class or object that a program passed, for each of its streams."""
        copy = self.model_copy(update={"source": self.source.of_source(source)})
        if self._separate is not None:
            copy._separate = self._separate.changed(lambda config: config.of_source(source))  # noqa: SLF001 - same class
        return copy

    def outputs(self) -> dict[tuple[str, ...], str]:
        """The outputs of the pipeline, in words, by the path of the key that names each. Two pipelines write the same
        one if the words are equal."""
        places = self.destination.config.places(f"{self.source.name}_{self.source.stream}")
        found: dict[tuple[str, ...], str] = {("destination", "config", key): place for key, place in places.items()}
        if self.keeps_dead_letters and self.dead_letter_path is not None:
            found[("dead_letter_path",)] = f"file {os.path.abspath(self.dead_letter_path)}.json"
        return found

    @property
    def keeps_dead_letters(self) -> bool:
        """Whether rows that cannot be delivered are written to a file."""
        return self.on_error is OnError.DEAD_LETTER

    @property
    def runner_type(self) -> RunnerTypes:
        """The runner of this pipeline: the configured one, except that sync mode ``stream`` has its own."""
        if self.source.sync_mode is SourceSyncModes.STREAM:
            return RunnerTypes.STREAM
        return self.engine.runner.type

    @model_validator(mode="before")
    @classmethod
    def _schemas_of_the_streams(cls, data: Any) -> Any:
        return with_record_schemas(data, valid_streams(data.get("streams"))) if isinstance(data, dict) else data

    @field_validator("source", mode="wrap")
    @classmethod
    def _keep_connector_keys(cls, value: Any, handler: ValidatorFunctionWrapHandler) -> SourceConfig:
        if isinstance(value, SourceConfig):
            return value
        return GenericSourceConfig.model_validate(value)

    @field_validator("transforms", mode="before")
    @classmethod
    def _no_transforms(cls, value: Any) -> Any:
        return [] if value is None else value

    @field_validator("streams", mode="wrap")
    @classmethod
    def _streams_fit(
        cls, value: Any, _handler: ValidatorFunctionWrapHandler, info: ValidationInfo
    ) -> list[StreamConfig] | None:
        """The parts of one stream. The loader has taken out separate streams."""
        source = info.data.get("source")
        if value is not None and isinstance(source, SourceConfig) and source.sync_mode is not SourceSyncModes.STREAM:
            raise ValueError(
                f"needs source.sync_mode: stream, not {source.sync_mode}: with source.stream they are the parts of one "
                "stream; for streams of their own remove source.stream"
            )
        return parts_of_one(value)
