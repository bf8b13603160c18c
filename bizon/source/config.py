"""The ``source`` block of a pipeline."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Self

from pydantic import Field, PrivateAttr, field_validator

from bizon.config.streams import StreamConfig
from bizon.config.strict import MOST_SECONDS, StrictModel
from bizon.source.auth.config import AuthConfig

RETRY_STATUS_CODES = (429, 500, 502, 503, 504, 520, 522, 524)


class SourceSyncModes(StrEnum):
    """How a stream is moved."""

    FULL_REFRESH = "full_refresh"
    INCREMENTAL = "incremental"
    STREAM = "stream"


class HttpRetriesConfig(StrictModel):
    """When an HTTP request is retried."""

    total: int = Field(default=10, ge=0, description="Retries per request, all causes together. 0 = never retry.")
    backoff_factor: float = Field(
        default=2.0,
        ge=0,
        le=MOST_SECONDS,
        description="Seconds; the n-th retry waits backoff_factor * 2^(n-1), at most retry_after_max.",
    )
    status_forcelist: tuple[int, ...] = Field(
        default=RETRY_STATUS_CODES, description="HTTP status codes that are retried."
    )
    allowed_methods: tuple[str, ...] = Field(
        default=("GET", "POST"), description="HTTP methods that are retried, in capitals."
    )
    retry_after_max: float | None = Field(
        default=120.0,
        ge=0,
        le=MOST_SECONDS,
        description="Seconds; longest wait that a Retry-After header or the back-off may cause. null = no limit.",
    )


class HttpConfig(StrictModel):
    """The HTTP session a source fetches with."""

    timeout: tuple[float, float] = Field(
        default=(10.0, 60.0), description="Seconds to wait for [a connection, each read of the answer]."
    )
    raise_for_status: bool = Field(default=True, description="Raise an error for 4xx and 5xx after the retries.")
    retries: HttpRetriesConfig = Field(default_factory=HttpRetriesConfig, description="When a request is retried.")

    @field_validator("timeout")
    @classmethod
    def _timeouts_are_positive(cls, value: tuple[float, float]) -> tuple[float, float]:
        if min(value) <= 0:
            raise ValueError("both time-outs must be above 0 seconds: a request without one can wait forever")
        if max(value) > MOST_SECONDS:
            raise ValueError(f"both time-outs must be at most {MOST_SECONDS} seconds")
        return value


class APIConfig(StrictModel):
    """Older spelling of the HTTP retries."""

    retry_limit: int | None = Field(
        default=10, ge=0, description="Retries per request; used when `http` is absent. null = the default of `http`."
    )


class SourceConfig(StrictModel):
    """The keys of every source. The config class of a connector extends it with its own keys."""

    name: str = Field(
        min_length=1,
        max_length=100,
        description="Name of the source: its connector folder, or free text with `source_file_path`.",
    )
    stream: str = Field(
        min_length=1, max_length=100, description="Stream to extract; `bizon stream list SOURCE` shows them."
    )
    source_file_path: str | None = Field(
        default=None, description="Path of a Python file with a custom source class; same as --custom-source."
    )
    sync_mode: SourceSyncModes = Field(
        default=SourceSyncModes.FULL_REFRESH, description="full_refresh | incremental | stream."
    )
    cursor_field: str | None = Field(
        default=None, description="Field by which an incremental source filters, for example updated_at."
    )
    incremental_lookback: float = Field(
        default=0,
        ge=0,
        le=MOST_SECONDS,
        description="Seconds by which an incremental run overlaps the last one, for records that become visible late. "
        "Records in the overlap are delivered again.",
    )
    cursor_resolution: float = Field(
        default=0,
        ge=0,
        le=31_622_400,
        description="Seconds; the unit of the API's timestamps: 0.001 for milliseconds, 1 for whole seconds, 60 when "
        "they are cut to the minute. An incremental run begins and ends at whole units. Default: the value that the "
        "source declares, or 0.",
    )
    force_ignore_checkpoint: bool = Field(
        default=False, description="Cancel an unfinished job of this stream and start from the first page."
    )
    adopt_output: bool = Field(
        default=False,
        description="Take over an output that bizon did not write, or that the watermark or the state does not know, "
        "instead of stopping. An incremental run appends to it and continues from the watermark, if there is one.",
    )
    checkpoint_max_age: float = Field(
        default=86_400,
        gt=0,
        le=MOST_SECONDS,
        description="Seconds; an unfinished full_refresh job older than this is restarted instead of resumed. An "
        "unfinished incremental job whose last checkpoint is older fetches its window again.",
    )
    authentication: AuthConfig | None = Field(default=None, description="How to authenticate; see `type`.")
    max_iterations: int | None = Field(
        default=None,
        ge=1,
        description="Pages to fetch in this run. A run that stops here keeps its checkpoint and publishes nothing.",
    )
    api_config: APIConfig = Field(default_factory=APIConfig, description="Older spelling of `http.retries`.")
    http: HttpConfig | None = Field(default=None, description="HTTP time-outs and retries.")
    init_pipeline: bool = Field(
        default=True, description="False lets a connector skip set-up calls in its constructor; used by its tests."
    )
    _streams_config: tuple[StreamConfig, ...] = PrivateAttr(default=())
    _pipeline_id: str = PrivateAttr(default="")
    _given_source: Any = PrivateAttr(default=None)

    @classmethod
    def filled_from_streams(cls, block: Mapping[str, Any], streams: Sequence[StreamConfig]) -> Mapping[str, Any]:
        """The ``source`` block with values from the top-level ``streams``, before it is validated.

        Called by the loader when there are streams. A source that reads several streams overrides it, and sets only
        keys that the block leaves out. ``block`` must not be changed. Raises ConfigError, with ``key``, for a stream it
        cannot read.
        """
        return block

    @classmethod
    def streams_named_in(cls, block: Mapping[str, Any]) -> list[str] | None:
        """The streams that a ``source`` block names, for ``streams: "*"``. Called by the loader for a source whose
        ``streams()`` is ``["*"]``, before the block is validated. None, the default: only the connection knows."""
        return None

    @property
    def window_overlap(self) -> float:
        """Seconds by which the window of an incremental run begins before the end of the last one. A source with a key
        of its own for it overrides this. A window of the past is taken as it is."""
        return self.incremental_lookback

    def in_share(self, count: int) -> Self:
        """This configuration for one of ``count`` processes that read streams of the source at the same time. A source
        with a limit of requests overrides it, and takes a part of the limit: threads share it without this."""
        return self

    def of_streams(self, streams: Sequence[StreamConfig]) -> Self:
        """This configuration in a pipeline with these streams. Called by the loader."""
        copy = self.model_copy()
        copy._streams_config = tuple(streams)  # noqa: SLF001 - of the same class
        return copy

    def of_pipeline(self, pipeline_id: str) -> Self:
        """This configuration in the pipeline of this id. Called by the runner before it creates the source."""
        copy = self.model_copy()
        copy._pipeline_id = pipeline_id  # noqa: SLF001 - of the same class
        return copy

    def of_source(self, source: Any) -> Self:
        """This configuration for a given source class or object, instead of a lookup by name."""
        copy = self.model_copy()
        copy._given_source = source  # noqa: SLF001 - of the same class
        return copy

    def in_mode(self, sync_mode: str) -> Self:
        """This configuration in another sync mode."""
        return self.model_copy(update={"sync_mode": SourceSyncModes(sync_mode)})

    @property
    def extra(self) -> str | None:
        """The extra of bizon that this configuration needs, where it is not the one with the name of the source."""
        return None

    @property
    def can_be_incremental(self) -> bool:
        """False when this stream cannot be incremental, though its source can. The config class then refuses the mode;
        the suite for sources leaves out what is about it."""
        return True

    @property
    def is_endless(self) -> bool:
        """True in sync mode ``stream``: there is no last page, and rows reach their place as they come."""
        return self.sync_mode is SourceSyncModes.STREAM

    @property
    def is_incremental(self) -> bool:
        """True when a run adds the records that changed since the last one."""
        return self.sync_mode is SourceSyncModes.INCREMENTAL

    @property
    def given_source(self) -> Any:
        """The source class or object that a program passed; None for a lookup by name."""
        return self._given_source

    @property
    def is_given_an_object(self) -> bool:
        """Whether a program passed an object, which is the only one of its kind: no worker can build another."""
        return not isinstance(self._given_source, type | None)

    @property
    def pipeline_id(self) -> str:
        """A name that is unique to pipeline and stream, for state outside of bizon such as a consumer group. Empty when
        the source is used without a pipeline."""
        return self._pipeline_id

    @property
    def streams_config(self) -> tuple[StreamConfig, ...]:
        """The top-level ``streams`` of the pipeline; empty when there are none."""
        return self._streams_config
