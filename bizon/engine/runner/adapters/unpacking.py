"""The context of a run on its way to another process, and the parts that it needs there."""

import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from bizon.common.interpreter import tuned_for_pages
from bizon.common.log_bridge import standard_logging_bridged
from bizon.common.secret import registry
from bizon.destination.discover import load_custom_destination
from bizon.engine.runner.assembly import build_backend
from bizon.source.discover import load_custom_source

if TYPE_CHECKING:
    from bizon.engine.backend.backend import AbstractBackend
    from bizon.engine.runner.models import RunContext


class Payload(NamedTuple):
    """The context for another process. The files of a custom source and a custom destination are loaded before its
    classes are unpickled."""

    context: bytes
    source_file: str | None
    destination_file: str | None


def pack(context: "RunContext") -> Payload:
    """The context for another process."""
    source, destination = context.config.source, context.config.destination
    return Payload(pickle.dumps(context), source.source_file_path, destination.config.destination_file_path)


@contextmanager
def unpacked(
    payload: Payload, announce: Callable[[str], None], *, is_same_host: bool
) -> Iterator[tuple["RunContext", "AbstractBackend"]]:
    """Within: the context, its state, and the secrets that no output may show. ``announce``: gets each secret that is
    learned meanwhile. ``is_same_host``: as the process that packed it, which has reached the state."""
    if payload.source_file is not None:
        load_custom_source(payload.source_file)
    if payload.destination_file is not None:
        load_custom_destination(payload.destination_file)
    context: RunContext = pickle.loads(payload.context)
    with (
        registry.known_while(context.secrets),
        registry.announced_to(announce),
        tuned_for_pages(),
        standard_logging_bridged(),
        build_backend(context.config, was_reached=is_same_host) as backend,
    ):
        yield context, backend
