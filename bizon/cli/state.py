"""``bizon status`` and ``bizon stream reset``."""

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bizon.cli.files import for_each, in_folder_of_paths
from bizon.cli.options import RunOptions
from bizon.cli.output import say
from bizon.cli.status_lines import status_lines
from bizon.common.errors.errors import ConfigError, ExitCode
from bizon.common.models import GenericSourceConfig
from bizon.common.scrub import Scrubber, named_secrets
from bizon.common.secret import learn
from bizon.config.document import Document, load_yaml
from bizon.config.loading import build_config
from bizon.config.references import load_env_files, resolve_env
from bizon.engine.engine import load_config
from bizon.engine.runner.report import report_on, request_reset

if TYPE_CHECKING:
    from bizon.common.models import BizonConfig
    from bizon.engine.runner.pipeline_report import PipelineReport

_SOURCE_KEYS = ("name", "stream", "sync_mode")


def show(configs: Sequence[str], custom_source: str | None, env_file: str | None, *, as_json: bool) -> ExitCode:
    """Print how far each pipeline is. Only the state is contacted, and only its secrets are needed."""
    reports: list[PipelineReport] = []

    def show_one(config: str, _custom_source: str | None, env_file: str | None) -> ExitCode:
        report = _masked(report_on(_state_of(config, env_file)))
        if not as_json:
            for line in ["", *status_lines(report)] if reports else status_lines(report):
                say(line)
        reports.append(report)
        return ExitCode.FAILED if report.has_failed else ExitCode.OK

    code = for_each(configs, custom_source, env_file, show_one)
    if as_json and reports:
        shown = [asdict(report) for report in reports]
        say(json.dumps(shown[0] if len(configs) == 1 else shown, indent=2, default=str))
    return code


def reset(config: str, custom_source: str | None, env_file: str | None) -> None:
    """Record a reset in the state; the next run acts on it."""
    with in_folder_of_paths(config, custom_source, env_file) as (path, (custom_source, env_file)):
        overrides = RunOptions(custom_source=custom_source).overrides()
        pipeline = load_config(path, env_file=env_file, overrides=overrides).config
        request_reset(pipeline)
    stream = f"{pipeline.source.name}.{pipeline.source.stream}"
    say(f"The next run of '{pipeline.job_name}' fetches all of {stream} again and replaces the output.")


def _state_of(config: str, env_file: str | None) -> "BizonConfig":
    """The part of a configuration that identifies the pipeline and its state. No other variable has to be set, and the
    file of a custom source may be missing. From now on its secrets are masked."""
    path = Path(config)
    document = load_yaml(path)
    whole = document.data
    source, engine = whole.get("source"), whole.get("engine")
    data: dict[str, Any] = {key: whole[key] for key in ("name", "id", "paths") if key in whole}
    data["source"] = {key: source[key] for key in _SOURCE_KEYS if key in source} if isinstance(source, dict) else source
    data["destination"] = {"name": "logger"}
    if isinstance(engine, dict):
        data["engine"] = {"backend": engine["backend"]} if "backend" in engine else {}
    environ = load_env_files(path, env_file, os.environ)
    loaded = build_config(
        replace(document, data=data), environ=environ, overrides={}, resolve_source=lambda _: GenericSourceConfig
    )
    for secret in (*loaded.secrets, *named_secrets(whole), *_secrets_of_variables(document, environ)):
        learn(secret)
    return loaded.config


def _secrets_of_variables(document: Document, environ: Mapping[str, str]) -> frozenset[str]:
    """The values of all variables in a configuration that are set here."""
    with suppress(ConfigError):  # a fault in a part that the state does not need
        return resolve_env(document, _EmptyUnlessSet(environ)).secrets
    return frozenset()


class _EmptyUnlessSet(dict[str, str]):
    """Variables; a variable that is not set is empty."""

    def get(self, name: str, default: Any = None) -> Any:
        return super().get(name, default or "")


def _masked(report: "PipelineReport") -> "PipelineReport":
    """The report without secrets. The state keeps paginations whole: a next link may carry a key or a token."""
    scrub = Scrubber()
    error = None if report.error is None else scrub.brief(report.error)
    return replace(report, next_pagination=scrub.value(report.next_pagination), error=error)
