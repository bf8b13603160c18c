"""Configuration of the ``files`` source."""

import codecs
from enum import StrEnum
from typing import Annotated, Self
from urllib.parse import parse_qsl

from pydantic import Field, StringConstraints, field_validator, model_validator

from bizon.common.secret import SecretText
from bizon.config.strict import MOST_SECONDS, StrictModel
from bizon.source.config import SourceConfig

SCHEMES = ("s3", "gs", "az")
_EXTRAS = {"s3": "s3", "gs": "gcs", "az": "azure"}
_MARK = "://"
Text = Annotated[str, StringConstraints(min_length=1)]


class FileFormat(StrEnum):
    """How records lie in a file."""

    AUTO = "auto"
    NDJSON = "ndjson"
    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"


class Compression(StrEnum):
    """How the bytes of a file are compressed."""

    AUTO = "auto"
    NONE = "none"
    GZIP = "gzip"
    ZSTD = "zstd"
    BZIP2 = "bzip2"
    XZ = "xz"


class StorageConfig(StrictModel):
    """The object store of ``s3://``, ``gs://`` and ``az://`` paths. Without keys, the environment provides them."""

    endpoint: Text | None = Field(
        default=None, description="URL of the server, for a store that is compatible with S3, or an emulator."
    )
    region: Text | None = Field(default=None, description="S3: region of the bucket. Default: AWS_REGION.")
    access_key_id: SecretText | None = Field(default=None, description="S3: id of the access key.")
    secret_access_key: SecretText | None = Field(default=None, description="S3: secret of the access key.")
    session_token: SecretText | None = Field(default=None, description="S3: token of temporary credentials.")
    service_account_key: SecretText | None = Field(
        default=None, description="Cloud Storage: JSON of a service account's key."
    )
    account_name: Text | None = Field(default=None, description="Azure: name of the storage account.")
    account_key: SecretText | None = Field(default=None, description="Azure: key of the storage account.")
    sas_token: SecretText | None = Field(default=None, description="Azure: shared access signature.")
    anonymous: bool = Field(default=False, description="Send no credentials, for public buckets.")
    timeout: float = Field(default=60, gt=0, le=MOST_SECONDS, description="Seconds; longest time of one request.")
    retries: int = Field(default=10, ge=0, le=1000, description="Retries per request. 0 = never retry.")

    @field_validator("sas_token")
    @classmethod
    def _is_signed(cls, value: str | None) -> str | None:
        if value is not None and not any(name == "sig" and sig for name, sig in parse_qsl(value.removeprefix("?"))):
            raise ValueError("must be a shared access signature, like sv=...&sp=rl&sig=...; a key goes to account_key")
        return value

    @model_validator(mode="after")
    def _keys_are_whole(self) -> Self:
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise ValueError("access_key_id and secret_access_key belong together: set both")
        return self


class FilesSourceConfig(SourceConfig):
    """``source: {name: files}``: the records of files, in a folder or an object store. ``stream`` is a name of your
    choice: the checkpoint belongs to it."""

    path: Text | tuple[Text, ...] = Field(
        description="Files to read: a path or a list of paths, local or s3://, gs://, az://. `*` and `?` stand for "
        "characters of a name, `**` for any number of folders."
    )
    format: FileFormat = Field(
        default=FileFormat.AUTO, description="auto | ndjson | json | csv | parquet. auto = by extension and content."
    )
    id: Text | tuple[Text, ...] | None = Field(
        default=None,
        description="Field that identifies a record, or a list of fields. Default: path and row number, `PATH#ROW`.",
    )
    columns: tuple[Text, ...] | None = Field(
        default=None, min_length=1, description="CSV: names of the columns, in place of the header's."
    )
    header: bool = Field(
        default=True,
        description="CSV: the first line names the columns. False and no `columns`: column_1, column_2, ...",
    )
    delimiter: str | None = Field(
        default=None,
        min_length=1,
        max_length=1,
        description="CSV: character between fields. Default: a comma, in files named .tsv a tab.",
    )
    quote: str | None = Field(
        default='"', min_length=1, max_length=1, description="CSV: character around fields. null = no quoting."
    )
    encoding: Text = Field(default="utf-8", description="Encoding of text files, by Python's names, such as cp1252.")
    compression: Compression = Field(
        default=Compression.AUTO,
        description="auto | none | gzip | zstd | bzip2 | xz. auto = by the first bytes of each file.",
    )
    include_path: bool = Field(
        default=False,
        description="Add `_file_path`, `_file_name`, and `_file_KEY` for each folder named KEY=VALUE to every record.",
    )
    piece_size: int = Field(
        default=8_388_608,
        ge=1,
        le=1_073_741_824,
        description="Bytes that are read for a page, after decompression. One record may have 64 MB, or eight pieces.",
    )
    allow_no_files: bool = Field(
        default=False, description="A path that matches no file is an empty stream instead of an error."
    )
    storage: StorageConfig = Field(
        default_factory=StorageConfig, description="Credentials and address of the object store."
    )

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths, also when there is one."""
        return (self.path,) if isinstance(self.path, str) else self.path

    @property
    def id_fields(self) -> tuple[str, ...]:
        """The fields of the id; none for path and row number."""
        return () if self.id is None else (self.id,) if isinstance(self.id, str) else self.id

    @property
    def extra(self) -> str | None:
        """The extra for the object store; None for local files."""
        return _EXTRAS.get(self.scheme)

    @property
    def scheme(self) -> str:
        """The scheme of all paths; empty for local files."""
        return scheme_of(self.paths[0])

    @field_validator("path", "id")
    @classmethod
    def _a_list_has_items(cls, value: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
        if value == ():
            raise ValueError("must not be an empty list")
        return value

    @field_validator("path")
    @classmethod
    def _one_known_scheme(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        paths = (value,) if isinstance(value, str) else value
        schemes = {scheme_of(path) for path in paths}
        if unknown := schemes - {"", *SCHEMES}:
            raise ValueError(f"'{min(unknown)}://' is not known: use a local path, s3://, gs:// or az://")
        if len(schemes) > 1:
            raise ValueError("all paths must be in one kind of place: local, s3://, gs:// or az://")
        if any(scheme_of(path) and not path.partition(_MARK)[2].partition("/")[0] for path in paths):
            raise ValueError("a path in an object store is SCHEME://BUCKET/KEY")
        return value

    @field_validator("encoding")
    @classmethod
    def _encoding_is_known(cls, value: str) -> str:
        try:
            name = codecs.lookup(value).name
            "".encode(name)  # base64 and the like are codecs too
        except LookupError:
            raise ValueError("is not the name of an encoding in Python, such as utf-8, cp1252 or utf-16") from None
        return "utf-8" if name == "utf-8-sig" else name

    @field_validator("delimiter", "quote")
    @classmethod
    def _is_no_line_break(cls, value: str | None) -> str | None:
        if value is not None and (value in "\r\n" or not value.isascii()):
            raise ValueError("must be one ASCII character, and no line break")
        return value

    @field_validator("columns")
    @classmethod
    def _columns_are_unique(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value is not None and len(set(value)) < len(value):
            raise ValueError("each column needs a name of its own")
        return value

    @model_validator(mode="after")
    def _keys_fit(self) -> Self:
        if self.quote is not None and self.quote == self.delimiter:
            raise ValueError("quote and delimiter must differ")
        if self.columns is not None and self.format not in (FileFormat.CSV, FileFormat.AUTO):
            raise ValueError(f"columns are for format csv, not {self.format.value}")
        if self.authentication is not None:
            raise ValueError("authentication is for HTTP: the credentials of an object store are keys of `storage`")
        return self


def scheme_of(path: str) -> str:
    """``s3`` for ``s3://bucket/key``; empty for a local path."""
    scheme, mark, _ = path.partition(_MARK)
    return scheme if mark else ""
