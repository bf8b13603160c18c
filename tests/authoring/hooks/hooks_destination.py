"""The ``hooks`` destination: posts batches to an endpoint that drops a batch it knows."""

import hashlib
from functools import cached_property
from typing import Any

import polars as pl
from pydantic import Field

from bizon.common.errors.errors import (
    ConfigError,
    DestinationConnectionError,
    DestinationWriteError,
    RowsRejectedError,
)
from bizon.common.secret import SecretText
from bizon.destination.config import JsonRowsDetailsConfig
from bizon.destination.destination import AbstractDestination
from bizon.destination.http import http_session, sending
from bizon.destination.models import WriteMode
from bizon.source.config import HttpConfig
from bizon.source.session import Session

BATCH_KEY = "Idempotency-Key"


class HooksDestinationConfig(JsonRowsDetailsConfig):
    """The ``config`` of the destination: an endpoint that takes batches."""

    url: str = Field(min_length=1, description="URL that batches are posted to.")
    token: SecretText = Field(description="Token of the account.")
    http: HttpConfig = Field(
        default_factory=HttpConfig,
        description="Time-outs and retries of requests.",
    )


class HooksDestination(AbstractDestination):
    """Posts each batch to a URL, with a key of the batch in the header
    ``Idempotency-Key``. The endpoint drops a batch whose key it knows, so a batch that
    is posted again by the retries of a run has each row once. At least once beyond
    that: after a crash the same pages may come in other batches, with the same
    ``bizon_id`` values. The key holds the content: corrected rows are not known ones.

    Sync modes incremental and stream: an endpoint cannot replace what it has taken.
    """

    config: HooksDestinationConfig

    @staticmethod
    def get_config_class() -> type[HooksDestinationConfig]:
        return HooksDestinationConfig

    def check_connection(self) -> bool:
        if self.sync_metadata.write_mode is WriteMode.REPLACE:
            raise ConfigError(
                "hooks: posted rows cannot be replaced; use sync_mode incremental or stream, without --full-refresh",
                key=("source", "sync_mode"),
            )
        try:
            with sending("hooks"):
                self.session.get(self.config.url)
        except DestinationWriteError as error:
            raise DestinationConnectionError(str(error)) from error
        return True

    def write_records(
        self,
        df_destination_records: pl.DataFrame,
    ) -> tuple[bool, str | None]:
        moments = pl.col(pl.Datetime).dt.strftime("%Y-%m-%dT%H:%M:%S%.6f%:z")
        rows = df_destination_records.with_columns(moments).to_dicts()
        body = {"table": self.destination_id, "rows": rows}
        headers = {BATCH_KEY: batch_key(self.destination_id, rows)}
        with sending("hooks"):
            answer = self.session.post(self.config.url, json=body, headers=headers).json()
        rejected = reasons(answer, rows)
        if rejected:
            raise RowsRejectedError(rejected)
        return True, None

    def describe(self) -> str:
        return f"{self.config.url}, table {self.default_destination_id}"

    def close(self) -> None:
        self.session.close()

    @cached_property
    def session(self) -> Session:
        session = http_session(self.config.http)
        session.headers["Authorization"] = f"Bearer {self.config.token}"
        return session


def batch_key(table: str, rows: list[dict[str, Any]]) -> str:
    """The same in every process for the same rows of a table. A row whose content was
    corrected between two runs has the same ``bizon_id``, and must not count as known."""
    key = hashlib.sha256(table.encode())
    for row in rows:
        key.update(f"\n{row['bizon_id']} {row['source_data']}".encode())
    return key.hexdigest()


def reasons(answer: Any, rows: list[dict[str, Any]]) -> dict[int, str]:
    """The rows that the endpoint has refused, by position, from its answer
    ``{"rejected": [{"bizon_id": ..., "reason": ...}]}``."""
    places = {row["bizon_id"]: place for place, row in enumerate(rows)}
    refused: dict[int, str] = {}
    try:
        for each in answer["rejected"]:
            place = places[each["bizon_id"]]
            record = rows[place]["source_record_id"]
            refused[place] = f"record '{record}': {each['reason']}"
    except (KeyError, TypeError) as error:
        message = "hooks: the answer does not say which rows were refused"
        raise DestinationWriteError(message) from error
    return refused
