"""The unit of a source's timestamps, to which the windows of incremental runs are rounded."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from bizon.common.clock import microseconds
from bizon.common.errors.errors import ConfigError, MissingDependencyError
from bizon.source.discover import resolve_source_class

if TYPE_CHECKING:
    from bizon.source.config import SourceConfig

_MICROSECOND = timedelta(microseconds=1)


def cursor_resolution(config: "SourceConfig") -> timedelta:
    """The unit of a source's timestamps: the configured one, else the one its class declares. Raises ConfigError."""
    if "cursor_resolution" in config.model_fields_set:
        return timedelta(seconds=config.cursor_resolution)
    try:
        source_class = resolve_source_class(config)
    except (ConfigError, MissingDependencyError):  # reported when the source is built
        return timedelta(0)
    declared = source_class.cursor_resolution
    if isinstance(declared, bool) or not isinstance(declared, int | float) or declared < 0:
        raise ConfigError(
            f"cursor_resolution of {source_class.__name__} must be a number of seconds, 0 or more, not {declared!r}"
        )
    return timedelta(seconds=declared)


def floored(moment: datetime, unit: timedelta) -> datetime:
    """An aware moment, rounded down to whole units since 1970 in UTC. Unchanged when the unit is 0."""
    return moment - timedelta(microseconds=microseconds(moment) % (unit // _MICROSECOND)) if unit else moment
