"""The front door for programs: from a YAML file or a dict to a runner."""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bizon.common.errors.errors import ConfigError
from bizon.config.loading import LoadedConfig, build_config, document_from_dict, load_env_files, load_yaml
from bizon.config.streams import are_separate
from bizon.engine.runner.config import RunnerTypes
from bizon.engine.unfit import check_roles_can_meet, check_several_can_fetch, check_source_can_travel
from bizon.source.discover import named_classes, resolve_source_class, streams_of, validate_stream
from bizon.source.source import ANY_STREAM, AbstractSource

if TYPE_CHECKING:
    from bizon.common.models import GenericSourceConfig
    from bizon.config.document import Document
    from bizon.config.validation import ResolveSource
    from bizon.engine.runner.runner import AbstractRunner
    from bizon.engine.runner.streams import StreamsRunner
    from bizon.source.config import SourceConfig

GivenSource = type[AbstractSource] | AbstractSource
"""A source that a program passes in."""


class RunnerFactory:
    """Builds the runner of a pipeline. Raises ConfigError, whose message names file, line and key, for bad input.

    With separate ``streams`` the runner is a ``StreamsRunner``, which has the same ``run``, ``stop`` and ``progress``.
    """

    @staticmethod
    def create_from_yaml(
        filepath: str | Path,
        *,
        env_file: str | Path | None = None,
        overrides: Mapping[str, Any] | None = None,
        role: str | None = None,
        streams: Sequence[str] = (),
        join: bool = False,
    ) -> "AbstractRunner | StreamsRunner":
        """The runner for a YAML file. ``overrides``: a dict of the same shape as the YAML that wins over the file.
        ``role``: ``producer`` or ``consumer`` for one role by itself. ``streams``: run these alone. ``join``: work on a
        job together with all other runs that join it."""
        loaded = load_config(filepath, env_file=env_file, overrides=overrides)
        if role is None:
            return RunnerFactory.create_from_loaded(loaded, streams, join=join)
        if join:
            raise ConfigError("--join runs both roles: leave --role out")
        if loaded.config.has_separate_streams and len(streams) != 1:
            raise ConfigError("--role runs one role of one stream: choose it with --stream", key=("streams",))
        return RunnerFactory.create_for_role(loaded.of_stream(streams[0]) if streams else loaded, role)

    @staticmethod
    def create_from_config_dict(
        config: Mapping[str, Any], *, source: GivenSource | None = None, join: bool = False
    ) -> "AbstractRunner | StreamsRunner":
        """The runner for a dict of the same shape as the YAML. The dict is not changed.

        ``source``: a source class or a source object to read, instead of the source that the ``source`` block names.
        An object has its configuration, so the block may be left out. bizon closes it after the run. ``join``: as for a
        file.
        """
        return RunnerFactory.create_from_loaded(load_config_dict(config, source), join=join)

    @staticmethod
    def create_from_loaded(
        loaded: LoadedConfig, streams: Sequence[str] = (), *, join: bool = False
    ) -> "AbstractRunner | StreamsRunner":
        """The runner that a validated configuration asks for; only its module is imported. ``streams``: run these
        alone. ``join``: as for a file."""
        create = RunnerFactory.create_joined if join else RunnerFactory.create_for_one_stream
        if loaded.config.has_separate_streams:
            from bizon.engine.looking import offered_names
            from bizon.engine.runner.streams import StreamsRunner

            return StreamsRunner(loaded, create, offered_names, streams)
        for name in streams:
            loaded.config.for_stream(name)
        return create(loaded)

    @staticmethod
    def create_for_one_stream(loaded: LoadedConfig) -> "AbstractRunner":
        """The runner of a configuration with one stream."""
        config, secrets = loaded.config, loaded.secrets
        if config.runner_type is RunnerTypes.RAY:
            return RunnerFactory.create_joined(loaded)
        check_source_can_travel(config)
        check_several_can_fetch(config)
        if config.runner_type is RunnerTypes.STREAM:
            from bizon.engine.runner.adapters.streaming import StreamingRunner

            return StreamingRunner(config, secrets)
        if config.runner_type is RunnerTypes.PROCESS:
            from bizon.engine.runner.adapters.process import ProcessRunner

            return ProcessRunner(config, secrets)
        from bizon.engine.runner.adapters.thread import ThreadRunner

        return ThreadRunner(config, secrets)

    @staticmethod
    def create_joined(loaded: LoadedConfig) -> "AbstractRunner":
        """The runner that works on the job of one stream together with others. Raises ConfigError when its job cannot
        be divided among them."""
        check_source_can_travel(loaded.config)
        from bizon.engine.looking import destination_alone
        from bizon.engine.runner.joining.refusals import check_can_join, check_takes_members

        if loaded.config.source.is_endless:
            from bizon.engine.runner.members.runner import MemberRunner

            check_takes_members(loaded.config, destination_alone)
            return MemberRunner(loaded.config, loaded.secrets)
        from bizon.engine.runner.joining.runner import JoinedRunner

        check_can_join(loaded.config, destination_alone)
        if loaded.config.runner_type is RunnerTypes.PROCESS:
            from bizon.engine.runner.joining.processes import JoinedProcessRunner

            return JoinedProcessRunner(loaded.config, loaded.secrets)
        if loaded.config.runner_type is RunnerTypes.RAY:
            from bizon.engine.runner.extras import check_extras

            check_extras(loaded.config, ())
            from bizon.engine.runner.joining.on_ray import RayRunner

            return RayRunner(loaded.config, loaded.secrets)
        return JoinedRunner(loaded.config, loaded.secrets)

    @staticmethod
    def create_for_role(loaded: LoadedConfig, role: str) -> "AbstractRunner":
        """The runner of one role. Raises ConfigError when the roles could not reach each other."""
        config, secrets = loaded.config, loaded.secrets
        check_roles_can_meet(config)
        from bizon.engine.runner.adapters.single_role import runner_of

        return runner_of(role)(config, secrets)


def load_config(
    filepath: str | Path,
    *,
    env_file: str | Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    stream: str | None = None,
) -> LoadedConfig:
    """Read and validate a YAML file, with ``.env`` files and overrides. Nothing is contacted. ``stream``: the
    configuration of this stream alone; in a file without separate streams it overrides ``source.stream``."""
    path = Path(filepath)
    document = load_yaml(path)
    environ = load_env_files(path, env_file, os.environ)
    if stream is None:
        return _built(document, environ, source_config_class, overrides)
    if are_separate(document.data):
        return _built(document, environ, source_config_class, overrides).of_stream(stream)
    given = overrides or {}
    overrides = {**given, "source": {**given.get("source", {}), "stream": stream}}
    return _built(document, environ, source_config_class, overrides)


def load_config_dict(
    config: Mapping[str, Any], source: GivenSource | None = None, *, environ: Mapping[str, str] | None = None
) -> LoadedConfig:
    """Validate a dict of the same shape as the YAML, with a source that a program passes in. Nothing is contacted.
    ``environ``: the environment variables; None: the environment of the process."""
    data = dict(config)
    environ = os.environ if environ is None else environ
    if source is None:
        return _built(document_from_dict(data), environ, source_config_class)
    has_streams = data.get("streams") is not None
    data["source"] = _block_of(data.get("source"), source, has_streams=has_streams)
    source_class = source if isinstance(source, type) else type(source)
    return _built(document_from_dict(data), environ, partial(_config_class, source_class), given=source)


def _built(
    document: "Document",
    environ: Mapping[str, str],
    resolve_source: "ResolveSource",
    overrides: Mapping[str, Any] | None = None,
    given: GivenSource | None = None,
) -> LoadedConfig:
    """The validated configuration, of which ``given`` is the source."""
    loaded = build_config(
        document,
        environ=environ,
        overrides=overrides or {},
        resolve_source=resolve_source,
        names_of=partial(_names_of, given),
    )
    return loaded if given is None else replace(loaded, config=loaded.config.of_source(given))


def _names_of(given: GivenSource | None, block: Mapping[str, Any]) -> list[str] | None:
    """The streams that the source of a ``source`` block offers; None when only its connection knows."""
    name, path = block.get("name"), block.get("source_file_path")
    if not isinstance(name, str):
        return None
    classes = [given] if isinstance(given, type) else named_classes(name, path)
    names = [stream for source_class in classes for stream in streams_of(source_class)]
    if ANY_STREAM not in names:
        return names
    with suppress(Exception):  # whatever code of a connector raises: the validation of the block reports it
        return classes[0].get_config_class().streams_named_in(block)
    return None


def _block_of(block: Any, source: GivenSource, *, has_streams: bool) -> Any:
    """The ``source`` block for a given source. Raises ConfigError unless it is a source class or a source object."""
    if isinstance(source, AbstractSource):
        if block is not None:
            raise ConfigError("a source object has its configuration: leave the block out", key=("source",))
        return source.config
    if not (isinstance(source, type) and issubclass(source, AbstractSource)):
        raise ConfigError(f"source must be a class or an object that extends AbstractSource, not {source!r}")
    if block is not None and not isinstance(block, Mapping):
        return block
    block = {"name": source.__name__, **(block or {})}
    if "source_file_path" in block:
        raise ConfigError("a source class was given: leave source_file_path out", key=("source", "source_file_path"))
    streams = streams_of(source)
    return {"stream": streams[0], **block} if len(streams) == 1 and not has_streams else block


def source_config_class(source: "GenericSourceConfig") -> type["SourceConfig"]:
    """The config class of the source that a ``source`` block names, once its stream is known to exist."""
    return _config_class(resolve_source_class(source), source)


def _config_class(source_class: type[AbstractSource], source: "GenericSourceConfig") -> type["SourceConfig"]:
    validate_stream(source_class, source)
    try:
        return source_class.get_config_class()
    except (Exception, SystemExit) as error:
        text = f"get_config_class() of {source_class.__name__} failed: {type(error).__name__}: {error}"
        raise ConfigError(f"{text}; it must be a static method that returns a class") from error
