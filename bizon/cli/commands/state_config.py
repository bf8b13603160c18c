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

if TYPE_CHECKING:
    from bizon.common.models import BizonConfig
    from bizon.config.document import Document

_SOURCE_KEYS = ("name", "stream", "sync_mode")


def state_config(config: str, env_file: str | None) -> "BizonConfig":
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


def _secrets_of_variables(document: "Document", environ: Mapping[str, str]) -> frozenset[str]:
    """The values of all variables in a configuration that are set here."""
    with suppress(ConfigError):  # a fault in a part that the state does not need
        return resolve_env(document, _EmptyUnlessSet(environ)).secrets
    return frozenset()


class _EmptyUnlessSet(dict[str, str]):
    """Variables; a variable that is not set is empty."""

    def get(self, name: str, default: Any = None) -> Any:
        return super().get(name, default or "")
