"""Several streams in one file, each a pipeline of its own: from the ``streams`` block to a configuration of each.

A stream has the keys of the whole file, and on top the keys of its entry; ``source.stream`` is its name. So its
``BizonConfig`` is the one of a file with this stream alone, and so are its checkpoints, its lease and its staging.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from bizon.common.errors.errors import ConfigError
from bizon.common.secret import iter_secrets
from bizon.config.entries import OneStream, one_stream
from bizon.config.messages import Problem, problems_in, refuse
from bizon.config.streams import ALL_STREAMS, SeparateStreamConfig
from bizon.config.validation import LoadedConfig, ResolveSource, checked, refusal_of

if TYPE_CHECKING:
    from bizon.common.models import BizonConfig
    from bizon.config.document import Document
    from bizon.config.references import Resolved

NamesOf = Callable[[Mapping[str, Any]], list[str] | None]
"""The streams that the source of a ``source`` block offers; None when only its connection knows. Raises ConfigError."""


class SeparateStreams:
    """The streams of a pipeline. ``names``: in the order of the file; None when only the source's connection knows.
    ``make``: the configurations of several, which fit together; called when one is needed that is not ``known``."""

    def __init__(
        self,
        names: tuple[str, ...] | None,
        make: "Callable[[Iterable[str]], Mapping[str, BizonConfig]]",
        known: "Mapping[str, BizonConfig] | None" = None,
    ) -> None:
        self.names = names
        self._make = make
        self._known = dict(known or {})

    def changed(self, change: "Callable[[BizonConfig], BizonConfig]") -> "SeparateStreams":
        """The streams with a change to the configuration of each."""
        known = {name: change(config) for name, config in self._known.items()}
        return SeparateStreams(
            self.names, lambda names: {name: change(each) for name, each in self._make(names).items()}, known
        )

    def check(self, names: Iterable[str]) -> None:
        """Raise ConfigError unless the streams that a connection has named can run side by side."""
        self._known |= self._make(names)

    def config_of(self, name: str) -> "BizonConfig":
        """The configuration of one stream. Raises ConfigError, for a stream that does not exist, too."""
        if self.names is not None and name not in self.names:
            raise no_such_stream(name, self.names)
        if name not in self._known:
            self._known |= self._make([name])
        return self._known[name]


def no_such_stream(name: str, names: Iterable[str]) -> ConfigError:
    """The error for a stream that a pipeline with these streams does not have."""
    return ConfigError(f"there is no stream '{name}'; the pipeline has {', '.join(names)}", key=("streams",))


class _Block(BaseModel):
    streams: list[SeparateStreamConfig]


def validate_many(resolved: "Resolved", resolve_source: ResolveSource, names_of: NamesOf) -> LoadedConfig:
    """Validate a configuration with separate streams: each of them, and that no two write the same output. Raises one
    ConfigError for all mistakes, a line each."""
    entries = entries_of(resolved.document, names_of)

    def make(names: Iterable[str]) -> dict[str, "BizonConfig"]:
        return _valid(resolved, _of_names(resolved.document, names), resolve_source)

    known = make([ALL_STREAMS]) if entries is None else _valid(resolved, entries, resolve_source)
    streams = SeparateStreams(None if entries is None else tuple(known), make, known)
    secrets = resolved.secrets.union(*map(iter_secrets, known.values()))
    return LoadedConfig(next(iter(known.values())).of_separate(streams), secrets)


def _of_names(document: "Document", names: Iterable[str]) -> dict[str, OneStream]:
    """Streams without keys of their own."""
    return {name: one_stream(document, SeparateStreamConfig(name=name), None) for name in names}


def entries_of(document: "Document", names_of: NamesOf) -> dict[str, OneStream] | None:
    """Each stream by its name, not validated yet; None when the connection of the source knows the names. Raises
    ConfigError."""
    block = document.data["streams"]
    if block == ALL_STREAMS:
        try:
            names = names_of(document.data["source"])
        except ConfigError as error:
            is_file = document.data["source"].get("source_file_path") is not None
            key = error.key or ("source", "source_file_path" if is_file else "name")
            refuse([Problem(key, str(error), at_value=True)], document)
            raise
        if names is None:
            return None
        return _of_names(document, names)
    named = [{"name": each} if isinstance(each, str) else each for each in block] if isinstance(block, list) else block
    try:
        streams = _Block.model_validate({"streams": named}).streams
    except ValidationError as error:
        refuse(problems_in(error, _Block, {"streams": named}), document)
        raise
    names = [stream.name for stream in streams]
    problems = [
        Problem(("streams", place), f"stream '{name}' is named twice, first as entry {names.index(name) + 1}")
        for place, name in enumerate(names)
        if names.index(name) != place
    ]
    if not names:
        problems.append(Problem(("streams",), f'must have at least 1 item; "{ALL_STREAMS}" = all of the source'))
    refuse(problems, document)
    return {stream.name: one_stream(document, stream, place) for place, stream in enumerate(streams)}


def _valid(
    resolved: "Resolved", streams: Mapping[str, OneStream], resolve_source: ResolveSource
) -> dict[str, "BizonConfig"]:
    """The configuration of each stream. Raises ConfigError."""
    configs: dict[str, BizonConfig] = {}
    found: list[tuple[str, Problem]] = []
    for name, stream in streams.items():
        document = replace(resolved.document, data=stream.data, overridden=frozenset())
        config, problems = checked(document, resolve_source)
        found += ((name, problem) for problem in dict.fromkeys([*stream.problems, *map(stream.placed, problems)]))
        if config is not None:
            configs[name] = config
    problems = _attributed(found, len(streams))
    if len(configs) == len(streams):
        problems += _of_outputs(configs, streams)
        problems += _of_endless(configs)
    if problems or len(configs) < len(streams):
        raise refusal_of(problems, resolved)
    return configs


def _attributed(found: list[tuple[str, Problem]], count: int) -> list[Problem]:
    """Each problem once. One in a key that all streams share, and that only some of them cannot have, names them."""
    of: dict[Problem, list[str]] = {}
    for name, problem in found:
        of.setdefault(problem, []).append(name)
    return [
        problem
        if problem.path[:1] == ("streams",) or len(names) == count
        else problem._replace(text=f"{problem.text} (stream {', '.join(names)})")
        for problem, names in of.items()
    ]


def _of_outputs(configs: Mapping[str, "BizonConfig"], streams: Mapping[str, OneStream]) -> list[Problem]:
    """The outputs that two streams would write."""
    first: dict[tuple[str, str], str] = {}
    problems = []
    for name, config in configs.items():
        for key, place in config.outputs().items():
            other = first.setdefault((key[-1], place), name)
            if other != name:
                text = (
                    f"streams '{other}' and '{name}' would write the same {place}; put {{stream}} into "
                    f"{'.'.join(key)}, or give each stream a `{key[-1]}` of its own"
                )
                problems.append(Problem(streams[name].place(key), text))
    return problems


def _of_endless(configs: Mapping[str, "BizonConfig"]) -> list[Problem]:
    """Streams that never end, and leave no room for others."""
    modes = Counter(config.source.is_endless for config in configs.values())
    slots = next(iter(configs.values())).engine.runner.config.max_parallel_streams
    needed = modes[True] + (1 if modes[False] else 0)
    if not modes[True] or needed <= slots:
        return []
    key = ("engine", "runner", "config", "max_parallel_streams")
    count = f"{modes[True]} streams never end" if modes[True] > 1 else "a stream never ends"
    return [Problem(key, f"must be at least {needed}, not {slots}: {count}, and others would never begin")]
