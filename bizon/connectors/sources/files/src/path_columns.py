"""The fields that ``include_path`` adds to the records of a file."""

from typing import Any

import orjson
import polars as pl

_PREFIX = "_file_"


class PathColumns:
    """The added fields of one file; none when ``include_path`` is not set. They come before the record's own."""

    def __init__(self, path: str, *, is_wanted: bool) -> None:
        self._values = _of(path) if is_wanted else {}
        self._text = orjson.dumps(self._values).decode()[1:-1]

    def may_clash(self, block: bytes) -> bool:
        """Whether a record in a text might have one of these fields itself."""
        return bool(self._values) and f'"{_PREFIX}'.encode() in block

    def check(self, fields: Any) -> None:
        """Raise ValueError when a record, or a header, has one of these fields itself."""
        found = next((name for name in self._values if name in fields), None)
        if found is not None:
            raise ValueError(f"it has a field '{found}', which source.include_path adds: set that to false")

    def to_lines(self, lines: pl.Series) -> pl.Series:
        """Lines of objects with the fields. The text of the objects is unchanged."""
        if not self._values or not lines.len():
            return lines
        rest = lines.str.slice(1)
        is_empty = rest.str.strip_chars_start() == "}"
        mark = pl.select(pl.when(is_empty).then(pl.lit("")).otherwise(pl.lit(","))).to_series()
        return pl.select(pl.concat_str(pl.lit("{" + self._text), mark, rest)).to_series()

    def to_line(self, line: str) -> str:
        """The same for one line."""
        return self.to_lines(pl.Series([line])).item() if self._values else line

    def to_frame(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The rows of a frame with the fields."""
        if not self._values:
            return frame
        return frame.select(*(pl.lit(value).alias(name) for name, value in self._values.items()), pl.all())


def _of(path: str) -> dict[str, str]:
    *folders, name = path.split("/")
    pairs = (folder.partition("=") for folder in folders if "=" in folder)
    return {
        f"{_PREFIX}path": path,
        f"{_PREFIX}name": name,
        **{f"{_PREFIX}{key}": value for key, _, value in pairs if key and key not in ("path", "name")},
    }
