"""The claims of a destination with typed tables, and the parts that its test supplies."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from bizon.common.errors.errors import BizonError, RowsRejectedError
from bizon.destination.config import DestinationColumn, RecordSchemaConfig
from bizon.destination.destination import AbstractDestination, DestinationFactory
from bizon.destination.typed_config import Deletes, Naming, RowWriteMode, SchemaMode, Verify
from bizon.engine.backend.backend import BackendFactory
from bizon.testing.destination_claims import ClaimedBehaviours
from bizon.testing.destination_jobs import Job, Pipeline, RawPage
from bizon.testing.table_rows import RESCUED, Row, TableColumns, differences, exact, own_columns

if TYPE_CHECKING:
    from bizon.destination.column_names import NameRules
    from bizon.destination.config import AbstractDestinationConfig
    from bizon.source.config import SourceSyncModes

OpenTable = Callable[..., Pipeline]
"""Creates a pipeline into the table, with settings as in YAML: ``table(mode, schema_mode="freeze")``."""
_WORDS = {"schema_mode": SchemaMode, "naming": Naming, "write_mode": RowWriteMode, "deletes": Deletes, "verify": Verify}


def page(*texts: str, prefix: str = "") -> RawPage:
    """Records of these JSON texts, with the ids 0, 1, ... after a prefix."""
    return RawPage((f"{prefix}{number}", text) for number, text in enumerate(texts))


def types_declared(table: str, **columns: str) -> list[RecordSchemaConfig]:
    """The value of ``record_schemas`` for one table."""
    declared = [DestinationColumn(name=name, type=kind) for name, kind in columns.items()]
    return [RecordSchemaConfig(destination_id=table, record_schema=declared)]


class TableClaims(ClaimedBehaviours):
    """The parts and the claims of ``TableConformance``. Each claim is false unless a class sets it.

    ``merges``: ``write_mode: merge``. ``declares``: ``record_schemas``, with other columns inferred. ``alters``: see
    ``alter``. ``has_views``: see ``view``. ``damages``: see ``damage``. ``client``: modules through which the
    destination reaches its target: a kill after a call to them is tried. ``most_interruptions``: the number of calls
    that are tried in a job, at equal distances; 0: twenty. ``names``: the names that the engine takes.

    ``keeps_json``: columns of type json keep order and repetition of keys. ``keeps_numbers``: they keep numbers that
    are neither integers of 64 bits nor floats; else such a value is rescued. ``decimals``: the types of the engine,
    where it has only some sizes of decimals. ``not_here``: names of hard values (``table_values.py``) that the server
    of the test cannot hold although the engine can, each with the reason: they are not sent.

    ``exactly_once_in_stream`` is true here unless a class says otherwise.
    """

    merges: ClassVar[bool] = False
    declares: ClassVar[bool] = True
    alters: ClassVar[bool] = False
    has_views: ClassVar[bool] = False
    damages: ClassVar[bool] = False
    client: ClassVar[Sequence[str]] = ()
    most_interruptions: ClassVar[int] = 0
    names: ClassVar["NameRules"] = TableColumns({}).rules
    keeps_json: ClassVar[bool] = True
    keeps_numbers: ClassVar[bool] = True
    decimals: ClassVar[Sequence[str]] = ()
    not_here: ClassVar[Mapping[str, str]] = {}
    exactly_once_in_stream: ClassVar[bool] = True
    _config: "AbstractDestinationConfig"

    @pytest.fixture
    def config(self) -> "AbstractDestinationConfig":
        """The ``destination`` block, with ``unnest: true``. Each test gets a new, empty place."""
        raise self._needs("fixture config")

    def rows(self, config: "AbstractDestinationConfig") -> Sequence[Row]:
        """The rows that a reader finds in the table, with all columns; none where there is no table. Null is None, a
        boolean a bool; a number, a moment and JSON may be text. A column that a part of the table lacks is null."""
        raise self._needs("method rows")

    def types(self, config: "AbstractDestinationConfig") -> Mapping[str, str]:
        """The columns of the table and their types, as ``bizon.destination.column_types`` names them, in order."""
        raise self._needs("method types")

    def damage(self, config: "AbstractDestinationConfig", how: str) -> None:
        """Claim ``damages``: ``removed``: remove one row of the last batch from staging; ``changed``: change a value of
        it."""
        raise self._needs("method damage")

    def alter(self, config: "AbstractDestinationConfig", how: str, column: str) -> None:
        """Claim ``alters``: ``dropped``: drop a column of the table; ``text``: change its type to text."""
        raise self._needs("method alter")

    def view(self, config: "AbstractDestinationConfig") -> Callable[[], Sequence[str]]:
        """Claim ``has_views``: create a view on the table; returns a function that reads record ids through it."""
        raise self._needs("method view")

    def _needs(self, what: str) -> NotImplementedError:
        return NotImplementedError(f"{type(self).__name__} needs a {what}, see bizon/testing/table_claims.py")

    def build(self, *arguments: Any) -> AbstractDestination:
        """Create the destination; override it for a class that ``DestinationFactory`` does not know."""
        metadata, config, backend, callback, monitor = arguments
        block = self._config.model_copy(update={"config": config})
        return DestinationFactory.get_destination(metadata, block, backend, callback, monitor)

    @pytest.fixture
    def table(self, config: "AbstractDestinationConfig") -> Iterator[OpenTable]:
        """Creates pipelines into the table; skips a sync mode that the destination does not have."""
        made: list[Pipeline] = []
        self._config = config
        with BackendFactory.in_memory() as backend:
            backend.create_all_tables()

            def open_one(mode: "SourceSyncModes", **settings: Any) -> Pipeline:
                if mode not in self.modes:
                    pytest.skip(f"the destination has no sync mode {mode}")
                given = {"schema_mode": "evolve", **settings}
                given = {name: _WORDS[name](value) if name in _WORDS else value for name, value in given.items()}
                details = config.config.model_copy(update=given)
                block = config.model_copy(update={"config": details})
                known = any(each.has_history for each in made)
                made.append(Pipeline(self.build, block, mode, backend, has_history=known))
                return made[-1]

            yield open_one
            for each in made:
                each.close()

    def ids(self, config: "AbstractDestinationConfig", table: str | None = None) -> list[str]:
        """Record ids that a reader finds, sorted."""
        return sorted(str(row["_source_record_id"]) for row in self.rows(config))

    def columns(self, config: "AbstractDestinationConfig") -> dict[str, str]:
        """The columns of the records."""
        return own_columns(self.types(config))

    def expect_columns(self, config: "AbstractDestinationConfig", wanted: Mapping[str, str]) -> None:
        """Fail unless the records have these columns. A decimal stands for any of the engine's, where it has some."""
        found = self.columns(config)
        same = {
            name: kind
            for name, kind in wanted.items()
            if kind.startswith("decimal") and self.decimals and found.get(name) in self.decimals
        }
        assert found == {**wanted, **{name: found[name] for name in same}}

    def values(self, config: "AbstractDestinationConfig", column: str) -> dict[str, Any]:
        """The values of a column by record id."""
        return {str(row["_source_record_id"]): row[column] for row in self.rows(config)}

    def rescued(self, config: "AbstractDestinationConfig") -> dict[str, Any]:
        """The rescued values by record id, where there are any; numbers are decimals."""
        found = self.values(config, RESCUED)
        return {id_: {key: value for key, value in exact(text)} for id_, text in found.items() if text is not None}

    def expect_kept(self, config: "AbstractDestinationConfig", *sent: RawPage) -> None:
        """Fail unless the table holds exactly these records, each value in its column or rescued."""
        texts = dict(record for page in sent for record in page)
        columns = TableColumns(self.columns(config), self.names, self.keeps_json)
        found = self.rows(config)
        assert sorted(str(row["_source_record_id"]) for row in found) == sorted(texts)
        for row in found:
            text = texts[str(row["_source_record_id"])]
            assert not (wrong := differences(text, row, columns)), f"{text[:500]}: {'; '.join(wrong)[:2000]}"

    def deliver(self, job: Job, first: int, records: RawPage) -> RawPage:
        """A batch that is recorded; the records that were taken. Others were refused, each by its id."""
        taken = records
        try:
            job.write(first, records)
        except RowsRejectedError as refusal:
            for position, reason in refusal.reasons.items():
                assert f"'{records[position][0]}'" in reason, f"the reason does not name the record: {reason}"
            taken = RawPage(record for at, record in enumerate(records) if at not in refusal.reasons)
            job.forget_receipt()
            if taken:
                job.write(first, taken)
        job.record(first, len(taken))
        return taken

    def refused(self, job: Job, first: int, records: RawPage) -> list[int]:
        """The positions of the records that a write refuses, at least one."""
        with pytest.raises(RowsRejectedError) as refusal:
            job.write(first, records)
        return sorted(refusal.value.reasons)

    def expect_unpublished(self, job: Job, pages: str) -> None:
        """Fail unless the job cannot be published, with an error that names the pages."""
        with pytest.raises(BizonError, match=pages):
            job.publish()

    def load(self, into: Pipeline, *pages: RawPage) -> list[RawPage]:
        """A whole job, a batch for each page; the records that were taken."""
        job = into.job()
        job.start()
        taken = [self.deliver(job, number, records) for number, records in enumerate(pages)]
        job.end()
        return taken

    def begin(self, into: Pipeline) -> Job:
        """A job that was started."""
        job = into.job()
        job.start()
        return job

    def restarted(self, job: Job) -> Job:
        """The job after its start has died, and the next one has begun."""
        job.bury()
        job.start()
        return job
