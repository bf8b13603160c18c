"""Applying the user's transforms to a page."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import orjson
import polars as pl

from bizon.common.errors.errors import TransformError
from bizon.common.interrupts import in_words, is_for_the_process
from bizon.common.on_error import OnError
from bizon.rows.exact_json import PERHAPS_NOT_REPRODUCED, SentNumbers
from bizon.rows.rejects import Stage, reject, rejected_rows
from bizon.transform.snippet import compile_snippet

if TYPE_CHECKING:
    from bizon.transform.config import TransformModel


class Transform:
    """All transforms of a pipeline, compiled once. Called by the consumer, on one thread."""

    def __init__(self, transforms: Sequence["TransformModel"], on_error: OnError = OnError.FAIL) -> None:
        self._on_error = on_error
        self._json = SentNumbers()
        self._steps = [(model.label, compile_snippet(model.label, model.python)) for model in transforms]

    def apply_transforms(self, df_source_records: pl.DataFrame) -> pl.DataFrame:
        """Transform a source frame; a record whose ``data`` became None is dropped.

        A value that no snippet changes stays as it was sent: a number keeps its text, even if a float would change it.

        A snippet that raises, or leaves anything but a dict, causes a TransformError with label and record id. With
        ``on_error: fail`` the error is raised; otherwise the original record is rejected, see ``rows/rejects.py``.
        """
        if not self._steps or df_source_records.is_empty():
            return df_source_records
        needs_care = df_source_records["data"].str.contains(PERHAPS_NOT_REPRODUCED).to_list()
        if self._on_error is OnError.FAIL:
            ids, data = df_source_records["id"].to_list(), df_source_records["data"].to_list()
            texts: list[str | None] = [
                self._transformed(record_id, text, careful)
                for record_id, text, careful in zip(ids, data, needs_care, strict=True)
            ]
            frame = df_source_records
        else:
            texts, reasons = self._transformed_or_rejected(df_source_records, needs_care)
            frame = reject(df_source_records, reasons, Stage.TRANSFORM)
        return frame.with_columns(pl.Series("data", texts, pl.String)).filter(pl.col("data").is_not_null())

    def _transformed_or_rejected(
        self, frame: pl.DataFrame, needs_care: Sequence[bool]
    ) -> tuple[list[str | None], dict[int, str]]:
        texts: list[str | None] = []
        reasons = {}
        rows = zip(frame["id"].to_list(), frame["data"].to_list(), needs_care, rejected_rows(frame), strict=True)
        for position, (record_id, text, careful, was_rejected) in enumerate(rows):
            try:
                texts.append(text if was_rejected else self._transformed(record_id, text, careful))
            except TransformError as error:
                texts.append(text)
                reasons[position] = str(error)
        return texts, reasons

    def _read_with_care(self, record_id: str, text: str) -> Any:
        """A record with a lone surrogate, with a number beyond a float, or that is not valid JSON."""
        try:
            return self._json.loads(text)
        except ValueError as error:
            raise TransformError(self._steps[0][0], record_id, f"the record is not valid JSON: {error}") from None

    def _transformed(self, record_id: str, text: str, careful: bool) -> str | None:
        self._json.remembered.clear()
        try:
            data: Any = self._json.loads(text) if careful else orjson.loads(text)
        except ValueError:
            data = self._read_with_care(record_id, text)
        for label, step in self._steps:
            try:
                data = step(data)
            except MemoryError:  # not the fault of the record
                raise
            except (Exception, SystemExit) as error:
                if is_for_the_process(error):
                    raise
                raise TransformError(label, record_id, in_words(error)) from error
            if data is None:
                return None
            if not isinstance(data, dict):
                raise TransformError(label, record_id, f"`data` must stay a dict, it became {type(data).__name__}")
        try:
            return self._json.dumps(data)
        except TypeError as error:
            raise TransformError(label, record_id, f"the result is not JSON: {error}") from None
