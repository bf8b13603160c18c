"""Applying the user's transforms to a page."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import orjson
import polars as pl

from bizon.common.errors.errors import TransformError
from bizon.common.frames import encode_data
from bizon.transform.config import TransformModel
from bizon.transform.snippet import compile_snippet

_PERHAPS_BEYOND_64_BITS = r"\d{19}"


class Transform:
    """All transforms of a pipeline, compiled once. Called by the consuming side, on one thread."""

    def __init__(self, transforms: Sequence[TransformModel]) -> None:
        self._steps = [(model.label, compile_snippet(model.label, model.python)) for model in transforms]

    def apply_transforms(self, df_source_records: pl.DataFrame) -> pl.DataFrame:
        """A source frame in, a source frame out; a record whose ``data`` became None is gone.

        Raises TransformError, with label and record id, when a snippet raises or leaves something else than a dict.
        """
        if not self._steps or df_source_records.is_empty():
            return df_source_records
        # orjson reads an integer beyond 64 bits as a float; a page that may hold one takes the exact, slower way
        loads = json.loads if df_source_records["data"].str.contains(_PERHAPS_BEYOND_64_BITS).any() else orjson.loads
        texts = [
            self._transformed(record_id, text, loads)
            for record_id, text in zip(df_source_records["id"], df_source_records["data"], strict=True)
        ]
        return df_source_records.with_columns(pl.Series("data", texts, pl.String)).filter(pl.col("data").is_not_null())

    def _transformed(self, record_id: str, text: str, loads: Callable[[str], Any]) -> str | None:
        data: Any = loads(text)
        label = ""
        for label, step in self._steps:
            try:
                data = step(data)
            except Exception as error:
                raise TransformError(label, record_id, f"{type(error).__name__}: {error}") from error
            if data is None:
                return None
            if not isinstance(data, dict):
                raise TransformError(label, record_id, f"`data` must stay a dict, it became {type(data).__name__}")
        try:
            return encode_data(data).decode()
        except TypeError as error:
            raise TransformError(label, record_id, f"the result is not JSON: {error}") from None
