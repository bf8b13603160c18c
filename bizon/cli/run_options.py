"""The options of ``bizon run``, and the part of the configuration that they set."""

from typing import Any, NamedTuple


class RunOptions(NamedTuple):
    """The options of ``bizon run``; None for an option that was not given."""

    custom_source: str | None = None
    runner: str | None = None
    role: str | None = None
    log_level: str | None = None
    env_file: str | None = None
    result_json: str | None = None
    fresh: bool = False
    full_refresh: bool = False
    since: str | None = None
    until: str | None = None
    adopt: bool = False
    streams: tuple[str, ...] = ()
    join: bool = False
    join_id: str | None = None

    def overrides(self) -> dict[str, Any]:
        """A dict of the shape of the YAML with the options that were given; an absent option never beats the file."""
        given = (("type", self.runner), ("log_level", self.log_level))
        runner = {key: value for key, value in given if value is not None}
        source: dict[str, Any] = {}
        if self.custom_source is not None:
            source["source_file_path"] = self.custom_source
        if self.fresh:
            source["force_ignore_checkpoint"] = True
        if self.adopt:
            source["adopt_output"] = True
        blocks = {"engine": {"runner": runner} if runner else {}, "source": source}
        return {name: block for name, block in blocks.items() if block}
