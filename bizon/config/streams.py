"""The top-level ``streams`` block. Without ``source.stream`` each entry is a stream of its own: see ``many.py``. With
it, the source reads all of them as one, in sync mode ``stream``: each entry is an input and its table."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, field_validator

from bizon.config.strict import StrictModel

if TYPE_CHECKING:
    from bizon.config.document import KeyPath

_OPEN = ConfigDict(extra="allow", frozen=True, hide_input_in_errors=True)
_PARTS_OF_A_TABLE = 3
_SCHEMAS = ("destination", "config", "record_schemas")


class StreamSourceConfig(StrictModel):
    """``streams[].source``: the input of one stream. Further keys belong to the source."""

    model_config = _OPEN

    name: str | None = Field(default=None, min_length=1, description="Name of the stream in the source.")
    topic: str | None = Field(default=None, min_length=1, description="Topic, where the source has topics.")
    endpoint: str | None = Field(default=None, min_length=1, description="Endpoint, where the source has endpoints.")


class StreamDestinationConfig(StrictModel):
    """``streams[].destination``: the table of one stream. Further keys belong to the destination."""

    model_config = _OPEN

    table_id: str = Field(description="Table for the records, in three parts: `project.dataset.table`.")
    record_schema: list[dict[str, Any]] | None = Field(
        default=None, min_length=1, description="Columns of the table, as in `record_schemas` of the destination."
    )
    clustering_keys: list[str] | None = Field(
        default=None, description="Columns the table is clustered by, where the destination has that."
    )

    @field_validator("table_id")
    @classmethod
    def _has_three_parts(cls, value: str) -> str:
        parts = value.split(".")
        if len(parts) != _PARTS_OF_A_TABLE or not all(part.strip() for part in parts):
            raise ValueError("must have three parts: project.dataset.table")
        return value


class StreamConfig(StrictModel):
    """One entry of ``streams`` for a source that reads several streams as one."""

    name: str = Field(min_length=1, description="Name of the stream, unique in the pipeline.")
    source: StreamSourceConfig = Field(description="Where records come from.")
    destination: StreamDestinationConfig = Field(description="Where records go.")


class SeparateStreamConfig(StrictModel):
    """One entry of ``streams`` that is a stream of its own; its name alone stands for an entry without other keys."""

    name: str = Field(min_length=1, max_length=100, description="Name of the stream in the source.")
    source: dict[str, Any] = Field(
        default={}, description="Keys of `source` that this stream sets or overrides, such as `sync_mode`."
    )
    destination: dict[str, Any] = Field(
        default={},
        description="Keys that this stream sets or overrides: `alias`, `config`, and keys of `destination.config`, "
        "such as `destination_id` or `primary_key`. `table_id`, `record_schema` and `clustering_keys` name its table.",
    )


ALL_STREAMS = "*"
"""As ``streams``: all that the source offers."""


def are_separate(data: Mapping[str, Any]) -> bool:
    """Whether a configuration has ``streams`` that are streams of their own: it has no ``source.stream``."""
    source = data.get("source")
    return data.get("streams") is not None and isinstance(source, dict) and "stream" not in source


StreamsBlock = (
    list[StreamConfig] | Annotated[list[SeparateStreamConfig | str], Field(min_length=1)] | Literal["*"] | None
)
"""The forms of ``streams``: the parts of one stream, or separate streams."""

_Parts = Annotated[list[StreamConfig], Field(min_length=1)] | None


def parts_of_one(block: Any) -> list[StreamConfig] | None:
    """The parts of one stream. Raises ValidationError, and ValueError for names or tables that are not unique."""
    streams = TypeAdapter(_Parts).validate_python(block)
    for what, values in (
        ("name", [stream.name for stream in streams or ()]),
        ("table_id", [stream.destination.table_id for stream in streams or ()]),
    ):
        for index, value in enumerate(values):
            first = values.index(value)
            if first != index:
                raise ValueError(f"entries {first + 1} and {index + 1} have the same {what}; each must be unique")
    return streams


def valid_streams(block: Any) -> tuple[StreamConfig, ...]:
    """The streams of the block if it is valid, else none; ``BizonConfig`` reports its mistakes."""
    try:
        return tuple(TypeAdapter(list[StreamConfig] | None).validate_python(block) or ())
    except ValidationError:
        return ()


def with_record_schemas(data: Mapping[str, Any], streams: Sequence[StreamConfig]) -> dict[str, Any]:
    """The configuration with the schemas of the streams as ``destination.config.record_schemas``, unless that is set.
    ``data`` is not changed."""
    schemas = [_record_schema(stream) for stream in streams if stream.destination.record_schema]
    if not schemas or not _lacks_schemas(data):
        return dict(data)
    destination = data["destination"]
    config = {**destination.get("config", {}), "record_schemas": schemas}
    return {**data, "destination": {**destination, "config": config}}


def place_in_streams(path: "KeyPath", data: Mapping[str, Any], streams: Sequence[StreamConfig]) -> "KeyPath":
    """The path that the user wrote: below ``streams`` for a schema that was copied from there."""
    index = path[len(_SCHEMAS)] if len(path) > len(_SCHEMAS) else None
    if path[: len(_SCHEMAS)] != _SCHEMAS or not isinstance(index, int) or not _lacks_schemas(data):
        return path
    number = [number for number, stream in enumerate(streams) if stream.destination.record_schema][index]
    key, *below = path[len(_SCHEMAS) + 1 :] or ("record_schema",)
    return ("streams", number, "destination", "table_id" if key == "destination_id" else key, *below)


def _lacks_schemas(data: Mapping[str, Any]) -> bool:
    destination = data.get("destination")
    config = destination.get("config", {}) if isinstance(destination, dict) else None
    return isinstance(config, dict) and config.get("record_schemas") is None


def _record_schema(stream: StreamConfig) -> dict[str, Any]:
    table = stream.destination
    schema: dict[str, Any] = {"destination_id": table.table_id, "record_schema": table.record_schema}
    return schema if table.clustering_keys is None else {**schema, "clustering_keys": table.clustering_keys}
