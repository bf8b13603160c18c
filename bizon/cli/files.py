"""Pipeline files on the command line: the folder that their paths are relative to, and checking several of them.

With ``paths: config`` the command works in the folder of the configuration. So every relative path starts there, also
a path that a custom source opens or that a child process gets.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bizon.cli.output import report_error, say
from bizon.cli.run_options import RunOptions
from bizon.common.errors.errors import ConfigError, ExitCode
from bizon.config.document import load_yaml

if TYPE_CHECKING:
    from bizon.common.models import BizonConfig
    from bizon.config.loading import LoadedConfig

_KEY = re.compile(rb"""^['"]?paths['"]?\s*:""", re.MULTILINE)

Look = Callable[[str, str | None, str | None], ExitCode]
"""Takes the path of a configuration, ``--custom-source`` and ``--env-file``; may raise."""


@contextmanager
def in_folder_of_paths(config: str, *options: str | None) -> Iterator[tuple[str, list[str | None]]]:
    """Within: the working directory that the paths of a configuration are relative to.

    Yields the paths of the configuration and of ``options``, as they are reached from there. Options are always
    relative to the directory in which the command was called.
    """
    if not _has_paths_of_its_folder(config):
        yield config, list(options)
        return
    path = Path(config).absolute()
    absolute = [None if option is None else str(Path(option).absolute()) for option in options]
    with chdir(path.parent):
        yield str(path), absolute


def for_each(configs: Sequence[str], custom_source: str | None, env_file: str | None, look: Look) -> ExitCode:
    """Look at each configuration, in the folder that its paths are relative to. A wrong one does not stop the rest.

    Returns the worst exit code: a mistake is worse than a failure, which is worse than success.
    """
    codes = []
    for config in configs:
        with in_folder_of_paths(config, custom_source, env_file) as (path, (source, env)):
            try:
                codes.append(look(path, source, env))
            except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the last line of defence before the user
                codes.append(report_error(error))
                if isinstance(error, KeyboardInterrupt):
                    break
    return max(codes, default=ExitCode.OK)


def loaded_from(
    config: str, custom_source: str | None, env_file: str | None, *, stream: str | None = None
) -> "LoadedConfig":
    """A configuration of one stream, with the options that change it. ``stream``: one of its streams, or another stream
    of its source. Raises ConfigError, a line per mistake, and for several streams of which none is chosen."""
    loaded = _loaded(config, custom_source, env_file, stream)
    loaded.config.check_one_stream()
    return loaded


def each_loaded_from(
    config: str, custom_source: str | None, env_file: str | None, *, stream: str | None = None
) -> "list[LoadedConfig]":
    """The configuration of each of its streams, or of one. A source is asked for its streams if only its connection
    knows them. Raises what ``loaded_from`` raises, and SourceError."""
    loaded = _loaded(config, custom_source, env_file, stream)
    if not loaded.config.has_separate_streams:
        return [loaded]
    names = loaded.config.stream_names
    if names is None:
        from bizon.engine.looking import offered_names

        names = tuple(offered_names(loaded))
    return [loaded.of_stream(name) for name in names]


def any_loaded_from(config: str, custom_source: str | None, env_file: str | None) -> "LoadedConfig":
    """A configuration that reaches its source, whichever of its streams it has."""
    loaded = _loaded(config, custom_source, env_file, None)
    names = loaded.config.stream_names
    return loaded.of_stream("*" if names is None else names[0])


def _loaded(config: str, custom_source: str | None, env_file: str | None, stream: str | None) -> "LoadedConfig":
    from bizon.engine.engine import load_config

    overrides = RunOptions(custom_source=custom_source).overrides()
    return load_config(config, env_file=env_file, overrides=overrides, stream=stream)


def validate(config: str, custom_source: str | None, env_file: str | None) -> ExitCode:
    """Print what the pipeline would do; contact nothing. Raises ConfigError, a line per mistake."""
    pipeline = _loaded(config, custom_source, env_file, None).config
    target, runner = pipeline.destination.shown_name, pipeline.runner_type.value
    if pipeline.has_separate_streams:
        say(f"{config} is valid: {_streams_of(pipeline)} of {pipeline.source.name} -> {target}, runner {runner}")
        return ExitCode.OK
    source, mode = f"{pipeline.source.name}.{pipeline.source.stream}", pipeline.source.sync_mode.value
    say(f"{config} is valid: {source} -> {target}, sync mode {mode}, runner {runner}")
    return ExitCode.OK


def _streams_of(pipeline: "BizonConfig") -> str:
    names = pipeline.stream_names
    if names is None:
        return f"all streams ({pipeline.source.sync_mode.value})"
    modes = [f"{name} ({pipeline.for_stream(name).source.sync_mode.value})" for name in names]
    return f"{len(names)} stream{'s' if len(names) > 1 else ''}, {', '.join(modes)},"


def _has_paths_of_its_folder(config: str) -> bool:
    """Parses the file only if it has the key. Faults in the file are reported when it is loaded."""
    try:
        return _KEY.search(Path(config).read_bytes()) is not None and load_yaml(config).data.get("paths") == "config"
    except (OSError, ValueError, ConfigError):
        return False
