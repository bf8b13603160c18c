"""Descriptions of APIs that come with the package, as YAML: ``preset: pokeapi``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from bizon.config.strict import allowed, nearest, refusal

_FOLDER = Path(__file__).parents[1] / "presets"


def names() -> list[str]:
    """The presets, by name."""
    return sorted(path.stem for path in _FOLDER.glob("*.yml"))


def read(name: str) -> dict[str, Any]:
    """The keys of a preset."""
    found: dict[str, Any] = yaml.safe_load((_FOLDER / f"{name}.yml").read_text(encoding="utf-8"))
    return found


def with_preset(block: Any) -> Any:
    """A ``source`` block on top of its preset: maps are merged key by key, other values of the block win.

    Raises the error of an unknown preset.
    """
    name = block.get("preset") if isinstance(block, Mapping) else None
    if not isinstance(name, str):
        return block
    if name not in names():
        raise refusal("preset", [(("preset",), f"no such preset{allowed(names())}{nearest(name, names())}")])
    return merged(read(name), block)


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Two maps as one. Where a value selects its keys by ``type``, another type replaces it as a whole."""
    result = dict(below)
    for key, value in above.items():
        old = result.get(key)
        is_map = isinstance(old, Mapping) and isinstance(value, Mapping)
        if is_map and value.get("type", old.get("type")) == old.get("type"):  # type: ignore[union-attr]  # both are maps
            result[key] = merged(old, value)  # type: ignore[arg-type]  # both are maps
        else:
            result[key] = value
    return result
