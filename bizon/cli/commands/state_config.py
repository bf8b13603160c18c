"""The part of a configuration that finds the state of a pipeline."""

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bizon.common.errors.errors import ConfigError
from bizon.common.models import GenericSourceConfig
from bizon.common.secret import learn
from bizon.common.secret_shapes import named_secrets
from bizon.config.loading import build_config, load_env_files, load_yaml
from bizon.config.references import resolve_env
from bizon.config.streams import are_separate
from bizon.engine.runner.report import streams_in_state

if TYPE_CHECKING:
    from bizon.common.models import BizonConfig
    from bizon.config.document import Document

_SOURCE_KEYS = ("name", "stream", "sync_mode")


def state_configs(config: str, env_file: str | None, stream: str | None = None) -> "list[BizonConfig]":
    """The part of a configuration that identifies the pipeline and its state, for each of its streams, or for one. No
    other variable has to be set, and the file of a custom source may be missing. With ``streams: "*"`` the state says
    which streams there are. From now on the secrets of the file are masked."""
    path = Path(config)
    document = load_yaml(path)
    environ = load_env_files(path, env_file, os.environ)
    if are_separate(document.data):
        found = _of_separate(document, environ, stream)
    else:
        found = [_of_one(document, environ)]
        if stream is not None:
            found[0].for_stream(stream)
    for secret in (*named_secrets(document.data), *_secrets_of_variables(document, environ)):
        learn(secret)
    return found


def _of_separate(document: "Document", environ: Mapping[str, str], stream: str | None) -> "list[BizonConfig]":
    from bizon.config.many import entries_of, no_such_stream

    streams = entries_of(document, lambda _block: None)
    if streams is not None:
        configs = [_of_one(replace(document, data=each.data), environ) for each in streams.values()]
        names = [config.source.stream for config in configs]
        if stream is not None and stream not in names:
            raise no_such_stream(stream, names)
        return [config for config in configs if stream in (None, config.source.stream)]
    any_stream = _of_one(_with_stream(document, "*"), environ)
    names = streams_in_state(any_stream) if stream is None else [stream]
    return [_of_one(_with_stream(document, name), environ) for name in names]


def _with_stream(document: "Document", stream: str) -> "Document":
    return replace(document, data={**document.data, "source": {**document.data["source"], "stream": stream}})


def _of_one(document: "Document", environ: Mapping[str, str]) -> "BizonConfig":
    whole = document.data
    source, engine = whole.get("source"), whole.get("engine")
    data: dict[str, Any] = {key: whole[key] for key in ("name", "id", "paths") if key in whole}
    data["source"] = {key: source[key] for key in _SOURCE_KEYS if key in source} if isinstance(source, dict) else source
    data["destination"] = {"name": "logger"}
    if isinstance(engine, dict):
        data["engine"] = {"backend": engine["backend"]} if "backend" in engine else {}
    loaded = build_config(
        replace(document, data=data), environ=environ, overrides={}, resolve_source=lambda _: GenericSourceConfig
    )
    for secret in loaded.secrets:
        learn(secret)
    return loaded.config


def _secrets_of_variables(document: "Document", environ: Mapping[str, str]) -> frozenset[str]:
    """The values of all variables in a configuration that are set here."""
    with suppress(ConfigError):  # a fault in a part that the state does not need
        return resolve_env(document, _EmptyUnlessSet(environ)).secrets
    return frozenset()


class _EmptyUnlessSet(dict[str, str]):
    """Variables; a variable that is not set is empty."""

    def get(self, name: str, default: Any = None) -> Any:
        return super().get(name, default or "")
