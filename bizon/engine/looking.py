"""Looking at a pipeline without running it: whether its ends let us in, its first records, and its table.

No job is opened and nothing is written. One exception: a refresh token that its provider replaces is kept in the state,
as in a run, because the old one is worth nothing then.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from bizon.common.errors.errors import (
    BizonError,
    ConfigError,
    DestinationConnectionError,
    DestinationError,
    SourceConnectionError,
)
from bizon.common.interrupts import in_words
from bizon.common.waiting import within
from bizon.destination.dead_letters import DeadLetters
from bizon.destination.destination import AbstractDestination, DestinationFactory
from bizon.destination.readable import Field, TableReader, is_ours
from bizon.engine.backend.backend import BackendFactory
from bizon.engine.records import fetched_pages
from bizon.engine.runner.assembly import build_backend
from bizon.engine.runner.jobs import HOW_TO_WITHDRAW
from bizon.engine.runner.models import RunContext
from bizon.engine.runner.report import ColumnReport, columns_of_last_run, next_run_replaces
from bizon.engine.runner.sources import CHECK_RETRIES, build_source, opened_source
from bizon.engine.runner.tokens import tokens_kept_in
from bizon.source.callback import NoOpSourceCallback
from bizon.source.source import ANY_STREAM

if TYPE_CHECKING:
    from bizon.common.models import BizonConfig
    from bizon.config.loading import LoadedConfig
    from bizon.source.models import OfferedStream


class Attempt(NamedTuple):
    """One ``check_connection``: the part it is of, and its name. ``error`` is None when it worked."""

    part: str
    tried: str
    error: Exception | None = None


def attempts(loaded: "LoadedConfig") -> Iterator[Attempt]:
    """Try the source, the destination, the place of dead letters if the pipeline keeps any, and the state. A failure of
    one does not keep the others from being tried."""
    config = loaded.config
    source, target = config.source, config.destination
    with loaded.masked():
        table = f" {target.config.destination_id}" if target.config.destination_id else ""
        yield _tried("source", f"{source.name}.{source.stream}", lambda: _try_source(config))
        yield _tried("destination", f"{target.shown_name}{table}", lambda: _try_destination(config))
        if config.keeps_dead_letters:
            with closing(destination_alone(config)) as destination:
                place = config.dead_letter_path or destination.dead_letter_id
            yield _tried("dead letter", f"file {place}", lambda: _try_dead_letters(config))
        yield _tried("state", config.engine.backend.type, lambda: _try_state(config))


def first_records(loaded: "LoadedConfig", count: int) -> list[dict[str, Any]]:
    """The data of the first records, after the transforms, from as few pages as give ``count``.

    The stream is read as in ``full_refresh``, whatever the sync mode: a look has no watermark, and moves no position of
    a reader. Raises the errors that end a run.
    """
    block = loaded.config.source.in_mode("full_refresh")
    config = loaded.config.model_copy(update={"source": block})
    found: list[dict[str, Any]] = []
    with _explained(SourceConnectionError, f"source '{block.name}.{block.stream}'"), _tokens_kept(config):
        for frame in fetched_pages(replace(loaded, config=config), None):
            found += map(json.loads, frame["data"].head(count - len(found)))
            if len(found) >= count:
                break
    return found


def offered_streams(loaded: "LoadedConfig") -> "list[OfferedStream] | None":
    """The streams behind the connection of the source, whichever is configured; None when ``streams()`` names them all.
    Raises SourceError."""
    config = loaded.config
    with (
        loaded.masked(),
        _explained(SourceConnectionError, f"source '{config.source.name}'"),
        _tokens_kept(config),
        closing(build_source(config)) as source,
        within(CHECK_RETRIES),
    ):
        return source.offered_streams()


def offered_names(loaded: "LoadedConfig") -> list[str]:
    """The names of the streams behind the connection of the source. Raises SourceError, and ConfigError for a source
    that does not list them, and for streams that cannot run side by side."""
    found = offered_streams(loaded.of_stream(ANY_STREAM))
    if not found:
        what = "does not list its streams" if found is None else "has no streams"
        raise ConfigError(f"streams: source '{loaded.config.source.name}' {what}; name them", key=("streams",))
    names = [stream.name for stream in found]
    loaded.config.check_streams(names)
    return names


@contextmanager
def open_table(loaded: "LoadedConfig") -> Iterator["OpenTable"]:
    """Within: the table of the destination can be read. Nothing is created or changed, and no state is opened. Raises
    DestinationError, also for a destination that keeps nothing that can be read."""
    config = loaded.config
    with loaded.masked(), closing(destination_alone(config)) as destination:
        destination.only_looks = True
        with (
            _explained(DestinationConnectionError, "the table cannot be read"),
            within(CHECK_RETRIES),
            destination.reading() as reader,
        ):
            yield OpenTable(destination, reader)


class OpenTable(NamedTuple):
    """The table of a destination, open for reading."""

    destination: AbstractDestination
    reader: TableReader

    @property
    def place(self) -> str:
        """Where it is, for people."""
        return self.destination.describe()

    def origin_of(self, column: Field) -> str:
        """``system`` for a column of bizon, ``declared`` for one of `record_schemas`. Else ``inferred`` where columns
        are inferred, also for a column that somebody has added by hand: the table does not tell them apart. ``other``
        where they are not."""
        name, table = column.name.lower(), self.destination.default_destination_id
        if is_ours(name):
            return "system"
        schemas = self.destination.record_schemas
        declared = (schemas[key] for key in schemas if table == key or table.endswith(f".{key}"))
        if self.destination.config.unnest and any(each.name.lower() == name for some in declared for each in some):
            return "declared"
        return "inferred" if self.destination.infers_columns else "other"


def changed_columns(loaded: "LoadedConfig") -> ColumnReport:
    """The columns that the last run has added or widened, from the state alone. Raises DestinationError for a
    destination that notes none, and what ``columns_of_last_run`` raises."""
    with loaded.masked(), closing(destination_alone(loaded.config)) as destination:
        if not destination.infers_columns:
            name = loaded.config.destination.shown_name
            raise DestinationError(
                f"destination '{name}' infers no columns here, and notes none: they follow from `unnest` and "
                f"`record_schemas`. `bizon schema show` lists those that the table has"
            )
        return columns_of_last_run(loaded.config)


def _tried(part: str, what: str, attempt: Callable[[], None]) -> Attempt:
    try:
        attempt()
    except Exception as error:  # noqa: BLE001 - the answer to the question of the user
        return Attempt(part, what, error)
    return Attempt(part, what)


def _try_source(config: "BizonConfig") -> None:
    with _explained(SourceConnectionError, "check_connection failed"), _tokens_kept(config), opened_source(config):
        pass


def _try_destination(config: "BizonConfig") -> None:
    replaces = next_run_replaces(config)
    with (
        _explained(DestinationConnectionError, "check_connection failed"),
        closing(destination_alone(config, replaces=replaces)) as destination,
    ):
        try:
            _look(destination)
        except ConfigError as error:
            raise ConfigError(f"{error}; {HOW_TO_WITHDRAW}", key=error.key) if replaces else error from error


def _try_dead_letters(config: "BizonConfig") -> None:
    with (
        _explained(DestinationConnectionError, "check_connection failed"),
        closing(destination_alone(config)) as destination,
    ):
        letters = DeadLetters.beside(destination, config, str, has_some=True).destination
        if letters is not None:
            with closing(letters):
                _look(letters)


def _look(destination: AbstractDestination) -> None:
    destination.only_looks = True
    with within(CHECK_RETRIES):
        is_reached = destination.check_connection()
    if is_reached is not True:
        raise DestinationConnectionError(f"check_connection failed: {destination.describe()}")


def _try_state(config: "BizonConfig") -> None:
    """Connect and read the version. A state may be missing: the first run creates it."""
    with closing(BackendFactory.get_backend(config.engine.backend)) as backend:
        backend.check_prerequisites()


@contextmanager
def _explained(error_class: type[BizonError], what: str) -> Iterator[None]:
    """Within: an error of another library becomes one of bizon's, whose message stands alone."""
    try:
        yield
    except BizonError:
        raise
    except Exception as error:
        raise error_class(f"{what}: {in_words(error)}") from error


def destination_alone(config: "BizonConfig", *, replaces: bool = False) -> AbstractDestination:
    """The destination, with a state in memory: it is asked nothing that needs the state of the pipeline."""
    context = replace(RunContext.without_job(config, None), replaces=replaces)
    return DestinationFactory.get_destination(
        sync_metadata=context.sync_metadata,
        config=config.destination,
        backend=BackendFactory.in_memory(),
        source_callback=NoOpSourceCallback(config.source),
        monitor=context.new_monitor(),
    )


@contextmanager
def _tokens_kept(config: "BizonConfig") -> Iterator[None]:
    """Within: a refresh token that rotates is kept in the state. The state is opened for such a token only."""
    authentication = config.source.authentication
    params: Any = authentication.params if authentication is not None else None
    if getattr(params, "refresh_token", None) is None:
        yield
        return
    backend = build_backend(config)
    try:
        with tokens_kept_in(backend):
            yield
    finally:
        backend.close()
