"""Extract and load large data streams, checkpointed at every step.

The public names are here; each is imported when it is first used, so ``import bizon`` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bizon.common.errors.errors import BizonError, ConfigError, RunFailedError
    from bizon.common.models import BizonConfig
    from bizon.common.secret import learn
    from bizon.destination.destination import AbstractDestination
    from bizon.engine.engine import RunnerFactory
    from bizon.engine.records import records, records_frame
    from bizon.engine.runner.models import RunnerStatus
    from bizon.source.config import SourceConfig, SourceSyncModes
    from bizon.source.models import JsonLines, RecordFrame, SourceIncrementalState, SourceIteration, SourceRecord
    from bizon.source.source import AbstractSource

    __version__: str

__all__ = [
    "AbstractDestination",
    "AbstractSource",
    "BizonConfig",
    "BizonError",
    "ConfigError",
    "JsonLines",
    "RecordFrame",
    "RunFailedError",
    "RunnerFactory",
    "RunnerStatus",
    "SourceConfig",
    "SourceIncrementalState",
    "SourceIteration",
    "SourceRecord",
    "SourceSyncModes",
    "__version__",
    "learn",
    "records",
    "records_frame",
]

_HOMES = {
    "AbstractDestination": "bizon.destination.destination",
    "AbstractSource": "bizon.source.source",
    "BizonConfig": "bizon.common.models",
    "BizonError": "bizon.common.errors.errors",
    "ConfigError": "bizon.common.errors.errors",
    "JsonLines": "bizon.source.models",
    "RecordFrame": "bizon.source.models",
    "RunFailedError": "bizon.common.errors.errors",
    "RunnerFactory": "bizon.engine.engine",
    "RunnerStatus": "bizon.engine.runner.models",
    "SourceConfig": "bizon.source.config",
    "SourceIncrementalState": "bizon.source.models",
    "SourceIteration": "bizon.source.models",
    "SourceRecord": "bizon.source.models",
    "SourceSyncModes": "bizon.source.config",
    "learn": "bizon.common.secret",
    "records": "bizon.engine.records",
    "records_frame": "bizon.engine.records",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version  # as dear as all of the command line

        return version("bizon")
    if name not in _HOMES:
        raise AttributeError(f"module 'bizon' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
