"""``bizon source test``: the conformance suite on the source of a pipeline."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bizon.cli.files import in_folder_of_paths
from bizon.cli.output import report_error, say
from bizon.cli.run_options import RunOptions
from bizon.cli.text.console_logs import console_logs
from bizon.common.clock import fixed_at
from bizon.common.errors.errors import ConfigError, ExitCode, MissingDependencyError
from bizon.common.secret import registry
from bizon.config.loading import build_config, load_env_files, load_yaml
from bizon.engine.engine import source_config_class
from bizon.engine.runner.sources import opened_source
from bizon.testing.source_masks import Masks, secrets_of, without_short_secrets
from bizon.testing.source_report import Status, Verdict, verdicts
from bizon.testing.source_subject import Subject

if TYPE_CHECKING:
    from bizon.common.scrub import Scrubber

_WIDTH = max(map(len, Status))
_LEVEL = "ERROR"  # retries of injected faults are expected


class SuiteOptions(NamedTuple):
    """The options of ``bizon source test``; None for an option that was not given."""

    custom_source: str | None = None
    env_file: str | None = None
    record: str | None = None
    replay: str | None = None
    as_json: bool = False
    stream: str | None = None


def run_suite(config: str, options: SuiteOptions) -> ExitCode:
    """Print a line per behaviour, or why the source cannot be reached. Raises ConfigError."""
    if options.record is not None and options.replay is not None:
        raise ConfigError("--record and --replay exclude each other; give one of them")
    given = (options.custom_source, options.env_file, options.record, options.replay)
    with in_folder_of_paths(config, *given) as (path, (custom_source, env_file, record, replay)):
        options = options._replace(custom_source=custom_source, env_file=env_file, record=record, replay=replay)
        return _test(path, options)


def _test(config: str, options: SuiteOptions) -> ExitCode:
    recording = None if options.replay is None else _cassettes().read_recording(Path(options.replay))
    variables = {} if recording is None else recording.variables
    environ = _Noted(load_env_files(config, options.env_file, {**os.environ, **variables}))
    overrides = RunOptions(custom_source=options.custom_source).overrides()
    loaded = build_config(load_yaml(config), environ=environ, overrides=overrides, resolve_source=source_config_class)
    loaded = loaded if options.stream is None else loaded.of_stream(options.stream)
    loaded.config.check_one_stream()
    if loaded.config.source.is_endless:
        raise ConfigError(
            "sync_mode stream has no end; test the source with full_refresh or incremental", key=("source", "sync_mode")
        )
    secrets = list(secrets_of(loaded, environ.asked))
    subject = Subject(loaded, began=datetime.now(UTC) if recording is None else recording.began)
    if (options.record or options.replay) and not subject.source_class.fetches_over_http:
        raise ConfigError(
            f"--record and --replay keep HTTP, and source '{subject.config.name}' fetches none: leave them out, and "
            "test it against a server or files of your own"
        )
    scrub = loaded.scrubber(secrets)
    try:
        with console_logs(_LEVEL, scrub), _exchange(options, subject, environ.asked, secrets):
            with loaded.masked(), opened_source(loaded.config):
                pass  # a source that cannot be reached has no behaviours
            return _report(subject, scrub, as_json=options.as_json)
    except Exception as error:  # noqa: BLE001 - reported here, where the secrets of the configuration are known
        return report_error(error, scrub)


def _report(subject: Subject, scrub: "Scrubber", *, as_json: bool) -> ExitCode:
    found: list[Verdict] = []
    for verdict in verdicts(subject):
        found.append(verdict._replace(text=scrub.brief(" ".join(verdict.text.split()))))
        if not as_json:
            say(_line(found[-1]))
    failed = sum(each.status is Status.FAILED for each in found)
    name = f"{subject.config.name}.{subject.config.stream}"
    if as_json:
        behaviours = [each._asdict() for each in found]
        say(json.dumps({"source": name, "passed": not failed, "behaviours": behaviours}, indent=2))
    else:
        counts = ", ".join(f"{sum(each.status is status for each in found)} {status.value}" for status in Status)
        say(f"{name}: {counts}")
    return ExitCode.FAILED if failed else ExitCode.OK


def _line(verdict: Verdict) -> str:
    line = f"{verdict.status.value:<{_WIDTH}}  {verdict.behaviour}"
    return f"{line}: {verdict.text}" if verdict.text else line


@contextmanager
def _exchange(
    options: SuiteOptions, subject: Subject, variables: Mapping[str, str], secrets: list[str]
) -> Iterator[None]:
    """Within: HTTP is recorded, replayed, or left alone. The clock stands still in a recording: the ends of windows are
    part of its requests."""
    if options.record is None and options.replay is None:
        yield
        return
    with fixed_at(subject.began), _cassette_of(options, subject, variables, Masks(secrets)):
        yield


@contextmanager
def _cassette_of(options: SuiteOptions, subject: Subject, variables: Mapping[str, str], masks: Masks) -> Iterator[None]:
    if options.record is not None:
        kept = without_short_secrets(variables, subject.config)
        recorder = _cassettes().recorded(Path(options.record), subject.began, kept, masks)
        with registry.announced_to(masks.add), recorder:  # the writer of the recording sees what the source learned
            yield
    else:
        with _cassettes().replayed(Path(options.replay or ""), masks):
            yield


def _cassettes() -> Any:
    try:
        from bizon.testing import source_cassette
    except ModuleNotFoundError as error:
        raise MissingDependencyError("testing", f"--record and --replay (module {error.name})") from None
    return source_cassette


class _Noted(dict[str, str]):
    """An environment that notes the variables that a configuration asks for."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        super().__init__(variables)
        self.asked: dict[str, str] = {}

    def get(self, name: str, default: Any = None) -> Any:
        if name in self:
            self.asked[name] = self[name]
        return super().get(name, default)
