"""From flags to what they stand for: a part of the configuration, or what of the stream is fetched."""

from datetime import datetime
from typing import Any

from bizon.common.clock import as_utc
from bizon.common.errors.errors import ConfigError
from bizon.engine.runner.windows import Scope


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


def run_scope(since: str | None, until: str | None, *, everything: bool, role: str | None) -> Scope:
    """What a run is to fetch. Raises ConfigError for flags that contradict each other, and for text that is
    not a date."""
    if (since is not None or everything) and role == "consumer":
        raise ConfigError("--role consumer: --since, --until and --full-refresh are for the producer")
    if until is not None and since is None:
        raise ConfigError("--until: a window needs --since as well")
    if since is not None and everything:
        raise ConfigError("--since and --full-refresh: a window and everything; give one of them")
    return Scope(_moment("--since", since), _moment("--until", until), everything)


def _moment(flag: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return as_utc(datetime.fromisoformat(text))
    except ValueError:
        raise ConfigError(f"{flag} {text}: not a date or a time; write 2026-01-31 or 2026-01-31T12:00:00Z") from None
