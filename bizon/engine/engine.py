"""The front door for programs: from a YAML file or a dict to a runner."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bizon.common.errors.errors import ConfigError
from bizon.common.loading import LoadedConfig, build_config, document_from_dict, load_env_files, load_yaml
from bizon.common.models import BizonConfig, GenericSourceConfig
from bizon.engine.backend.config import BackendTypes
from bizon.engine.backend.models import Half
from bizon.engine.runner.config import RunnerTypes
from bizon.source.config import SourceConfig, SourceSyncModes
from bizon.source.discover import resolve_source_class, validate_stream

if TYPE_CHECKING:
    from bizon.engine.runner.runner import AbstractRunner


class RunnerFactory:
    """Builds the runner of a pipeline. Raises ConfigError, whose message names file, line and key, for bad input."""

    @staticmethod
    def create_from_yaml(
        filepath: str | Path,
        *,
        env_file: str | Path | None = None,
        overrides: Mapping[str, Any] | None = None,
        role: str | None = None,
    ) -> "AbstractRunner":
        """The runner for a YAML file. ``overrides`` win over the file: a dict of the same shape as the YAML. ``role``:
        ``producer`` or ``consumer`` for one half by itself."""
        loaded = load_config(filepath, env_file=env_file, overrides=overrides)
        return RunnerFactory.create_from_loaded(loaded) if role is None else RunnerFactory.create_half(loaded, role)

    @staticmethod
    def create_from_config_dict(config: Mapping[str, Any]) -> "AbstractRunner":
        """The runner for a dict of the same shape as the YAML. The dict is not changed."""
        document = document_from_dict(dict(config))
        return RunnerFactory.create_from_loaded(
            build_config(document, environ=os.environ, overrides={}, resolve_source=source_config_class)
        )

    @staticmethod
    def create_from_loaded(loaded: LoadedConfig) -> "AbstractRunner":
        """The runner that a validated configuration asks for; imports its module only then."""
        config, secrets = loaded.config, loaded.secrets
        if config.runner_type is RunnerTypes.STREAM:
            from bizon.engine.runner.adapters.streaming import StreamingRunner

            return StreamingRunner(config, secrets)
        if config.runner_type is RunnerTypes.PROCESS:
            from bizon.engine.runner.adapters.process import ProcessRunner

            return ProcessRunner(config, secrets)
        from bizon.engine.runner.adapters.thread import ThreadRunner

        return ThreadRunner(config, secrets)

    @staticmethod
    def create_half(loaded: LoadedConfig, role: str) -> "AbstractRunner":
        """The runner of one half. Raises ConfigError when the halves could not find each other."""
        config, secrets = loaded.config, loaded.secrets
        _check_halves_can_meet(config)
        from bizon.engine.runner.adapters.half import ConsumerRunner, ProducerRunner

        return ProducerRunner(config, secrets) if role == Half.PRODUCER else ConsumerRunner(config, secrets)


def load_config(
    filepath: str | Path, *, env_file: str | Path | None = None, overrides: Mapping[str, Any] | None = None
) -> LoadedConfig:
    """Read and validate a YAML file, with ``.env`` files and overrides. Nothing is contacted."""
    path = Path(filepath)
    document = load_yaml(path)
    environ = load_env_files(path, env_file, os.environ)
    return build_config(document, environ=environ, overrides=overrides or {}, resolve_source=source_config_class)


def _check_halves_can_meet(config: BizonConfig) -> None:
    queue, backend = config.engine.queue.type, config.engine.backend.type
    if config.source.sync_mode is SourceSyncModes.STREAM:
        raise ConfigError("--role: sync_mode stream has no halves, source and destination share a loop")
    if not config.engine.queue.is_broker:
        raise ConfigError(
            f"--role: queue type '{queue}' lives inside a run; use a broker, for example rabbitmq",
            key=("engine", "queue", "type"),
        )
    if backend is BackendTypes.SQLITE_IN_MEMORY:
        raise ConfigError(
            f"--role: backend type '{backend}' is not shared; use postgres, or sqlite for halves on one machine",
            key=("engine", "backend", "type"),
        )


def source_config_class(source: GenericSourceConfig) -> type[SourceConfig]:
    """The config class of the source that a ``source`` block names, once its stream is known to exist."""
    source_class = resolve_source_class(source)
    validate_stream(source_class, source)
    try:
        return source_class.get_config_class()
    except Exception as error:
        text = f"get_config_class() of {source_class.__name__} failed: {type(error).__name__}: {error}"
        raise ConfigError(f"{text}; it must be a static method that returns a class") from error
