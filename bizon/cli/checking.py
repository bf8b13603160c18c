"""``bizon config``: check and describe pipeline files. Nothing is contacted."""

import json

from bizon.cli.output import say
from bizon.cli.overrides import flag_overrides
from bizon.common.errors.errors import ExitCode
from bizon.engine.engine import load_config


def validate(config: str, custom_source: str | None, env_file: str | None) -> ExitCode:
    """Say what the pipeline would do. Raises ConfigError, a line per mistake."""
    loaded = load_config(config, env_file=env_file, overrides=flag_overrides(custom_source=custom_source))
    pipeline = loaded.config
    source, target = f"{pipeline.source.name}.{pipeline.source.stream}", pipeline.destination.name.value
    mode, runner = pipeline.source.sync_mode.value, pipeline.runner_type.value
    say(f"{config} is valid: {source} -> {target}, sync mode {mode}, runner {runner}")
    return ExitCode.OK


def print_schema() -> None:
    """The JSON Schema on stdout."""
    from bizon.cli.schema import pipeline_schema

    say(json.dumps(pipeline_schema(), indent=2))
