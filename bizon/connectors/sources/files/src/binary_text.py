"""Binary values as base64 text, at every depth of a frame."""

from collections.abc import Callable, Mapping
from typing import Any

import polars as pl

_Rule = Callable[[pl.Expr], pl.Expr]


def with_binary_as_text(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with every binary value as base64."""
    rules = {name: _rule(dtype) for name, dtype in frame.schema.items()}
    return frame.with_columns(rule(pl.col(name)).alias(name) for name, rule in rules.items() if rule is not None)


def _rule(dtype: Any) -> _Rule | None:
    """The conversion of values of a type; None when they hold nothing binary."""
    if isinstance(dtype, pl.Binary):
        return lambda value: value.bin.encode("base64")
    if isinstance(dtype, pl.Struct):
        fields = {field.name: _rule(field.dtype) for field in dtype.fields}
        return _per_field(fields) if any(fields.values()) else None
    if isinstance(dtype, pl.List | pl.Array):
        inner = _rule(dtype.inner)
        return None if inner is None else _per_item(inner, is_array=isinstance(dtype, pl.Array))
    return None


def _per_field(rules: Mapping[str, _Rule | None]) -> _Rule:
    def rule(value: pl.Expr) -> pl.Expr:
        fields = [
            (value.struct.field(name) if inner is None else inner(value.struct.field(name))).alias(name)
            for name, inner in rules.items()
        ]
        return pl.when(value.is_not_null()).then(pl.struct(fields))

    return rule


def _per_item(inner: _Rule, *, is_array: bool) -> _Rule:
    return lambda value: (value.arr.to_list() if is_array else value).list.eval(inner(pl.element()))
