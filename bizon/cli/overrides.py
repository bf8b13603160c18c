"""From flags to the part of the configuration they replace."""

from typing import Any


def flag_overrides(
    *,
    runner: str | None = None,
    log_level: str | None = None,
    custom_source: str | None = None,
    fresh: bool = False,
    adopt: bool = False,
) -> dict[str, Any]:
    """A dict of the shape of the YAML with the flags that were given; a flag left out never beats the file."""
    given = {key: value for key, value in (("type", runner), ("log_level", log_level)) if value is not None}
    overrides: dict[str, Any] = {"engine": {"runner": given}} if given else {}
    source: dict[str, Any] = {}
    if custom_source is not None:
        source["source_file_path"] = custom_source
    if fresh:
        source["force_ignore_checkpoint"] = True
    if adopt:
        source["adopt_output"] = True
    return {**overrides, "source": source} if source else overrides
