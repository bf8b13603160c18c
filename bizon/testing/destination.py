"""The duties of every destination, as tests that a connector claims by inheriting them.

Guide: docs/contributing/adding-destinations.md. The tests play the loader: they create a destination, let it prepare,
write batches and publish, and let it die in between by creating another one. Then they compare what a reader finds. No
test measures time.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from bizon.destination.destination import AbstractDestination, DestinationFactory
from bizon.engine.backend.backend import AbstractBackend, BackendFactory
from bizon.testing.destination_claims import FULL_REFRESH, INCREMENTAL, STREAM, every_mode, in_modes, staged
from bizon.testing.destination_guards import DestinationGuards
from bizon.testing.destination_jobs import OpenPipeline, Pipeline, records
from bizon.testing.destination_parts import DestinationParts
from bizon.testing.destination_rows import HOSTILE, comparable

if TYPE_CHECKING:
    from bizon.common.sync import SyncMetadata
    from bizon.destination.config import AbstractDestinationConfig
    from bizon.monitoring.monitor import AbstractMonitor
    from bizon.source.callback import AbstractSourceCallback
    from bizon.source.config import SourceSyncModes

__all__ = ["FULL_REFRESH", "INCREMENTAL", "STREAM", "DestinationConformance"]


class DestinationConformance(DestinationParts, DestinationGuards):
    """Behaviours of every destination. Override the fixture ``config`` and the method ``read``, and set ``client`` (see
    ``DestinationCrashes``). The claims are in ``ClaimedBehaviours``.
    """

    _config: "AbstractDestinationConfig"

    @pytest.fixture
    def config(self) -> "AbstractDestinationConfig":
        """The ``destination`` block to test, without ``unnest``. Each test gets a new, empty place."""
        # tells the author of a test what to override
        raise NotImplementedError(f"{type(self).__name__} needs a fixture config, see bizon/testing/destination.py")

    def read(self, config: "AbstractDestinationConfig", destination_id: str | None) -> list[dict[str, Any]]:
        """The rows that a reader finds in a table (None = the configured one), in any order; none where there is no
        table. A row has the six columns; moments are aware datetimes or RFC 3339 text, ``source_data`` is JSON text."""
        # tells the author of a test what to override
        raise NotImplementedError(f"{type(self).__name__} needs a method read, see bizon/testing/destination.py")

    def build(
        self,
        sync_metadata: "SyncMetadata",
        config: Any,
        backend: AbstractBackend,
        source_callback: "AbstractSourceCallback",
        monitor: "AbstractMonitor",
    ) -> AbstractDestination:
        """Create the destination; override it for a class that ``DestinationFactory`` does not know."""
        block = self._config.model_copy(update={"config": config})
        return DestinationFactory.get_destination(sync_metadata, block, backend, source_callback, monitor)

    @pytest.fixture
    def pipeline(self, config: "AbstractDestinationConfig") -> Iterator[OpenPipeline]:
        """Creates a pipeline in a sync mode; skips a mode that the destination does not have."""
        made: list[Pipeline] = []
        self._config = config
        with BackendFactory.in_memory() as backend:
            backend.create_all_tables()

            def open_one(mode: "SourceSyncModes", table: str | None = None, name: str = "conformance") -> Pipeline:
                if mode not in self.modes:
                    pytest.skip(f"the destination has no sync mode {mode}")
                details = config.config.model_copy(update={"destination_id": table}) if table else config.config
                made.append(Pipeline(self.build, config.model_copy(update={"config": details}), mode, backend, name))
                return made[-1]

            yield open_one
            for each in made:
                each.close()

    def ids(self, config: "AbstractDestinationConfig", table: str | None = None) -> list[str]:
        """Record ids that a reader finds, sorted."""
        return sorted(str(row["source_record_id"]) for row in self.read(config, table))

    @every_mode()
    def test_every_value_arrives_as_it_was(
        self, config: "AbstractDestinationConfig", pipeline: OpenPipeline, mode: "SourceSyncModes"
    ) -> None:
        job = pipeline(mode).job()
        job.start()
        sent = job.write(0, HOSTILE).rows(named=True)
        job.record(0, len(sent))
        job.end()
        found = {row["source_record_id"]: comparable(row) for row in self.read(config, None)}
        for row in sent:
            assert found.pop(row["source_record_id"]) == comparable(row)
        assert not found

    @staged()
    def test_nothing_is_seen_before_it_is_published(
        self, config: "AbstractDestinationConfig", pipeline: OpenPipeline, mode: "SourceSyncModes"
    ) -> None:
        into = pipeline(mode)
        into.load(records("a"))
        job = into.job()
        job.start()
        job.commit(0, records("b"))
        job.commit(1, records("c"))
        assert self.ids(config) == ["a"]
        job.publish()
        assert self.ids(config) == (["b", "c"] if mode is FULL_REFRESH else ["a", "b", "c"])

    @staged()
    def test_a_job_without_rows_is_published_too(
        self, config: "AbstractDestinationConfig", pipeline: OpenPipeline, mode: "SourceSyncModes"
    ) -> None:
        into = pipeline(mode)
        into.load([])
        assert self.ids(config) == []
        into.load(records("a"))
        into.load([], [])
        assert self.ids(config) == ([] if mode is FULL_REFRESH else ["a"])

    @every_mode()
    def test_many_batches_of_all_sizes_arrive(
        self, config: "AbstractDestinationConfig", pipeline: OpenPipeline, mode: "SourceSyncModes"
    ) -> None:
        sizes = [1, 0, 2_000, 3, 0, 0, 500, *[1] * 20]
        pages = [records(*(f"{page}-{number}" for number in range(size))) for page, size in enumerate(sizes)]
        pipeline(mode).load(*pages)
        assert self.ids(config) == sorted(record.id for page in pages for record in page)

    @every_mode()
    def test_a_job_that_dies_goes_on_where_its_checkpoint_says(
        self, config: "AbstractDestinationConfig", pipeline: OpenPipeline, mode: "SourceSyncModes"
    ) -> None:
        job = pipeline(mode).job()
        for number in range(4):
            job.start()
            job.commit(number, records(str(number)))
        job.end()
        assert self.ids(config) == ["0", "1", "2", "3"]

    @every_mode()
    def test_rows_that_no_checkpoint_vouches_for_are_not_there_twice(
        self, config: "AbstractDestinationConfig", pipeline: OpenPipeline, mode: "SourceSyncModes"
    ) -> None:
        job = pipeline(mode).job()
        job.start()
        job.write(0, records("0"))  # dies before its first checkpoint
        job.start()
        job.commit(0, records("0"))
        job.write(1, records("1"), records("2"), records("3"))  # and again
        job.start()
        job.commit(1, records("1"), records("2"))  # with other bounds than before
        job.commit(3, records("3"))
        job.end()
        self.expect(config, mode, ["0", "1", "2", "3"])

    @staged()
    def test_publishing_again_after_a_crash_changes_nothing(
        self, config: "AbstractDestinationConfig", pipeline: OpenPipeline, mode: "SourceSyncModes"
    ) -> None:
        into = pipeline(mode)
        into.load(records("a"))
        job = into.job()
        job.start()
        job.commit(0, records("b"), records("c"))
        job.publish()
        once = self.ids(config)
        for _ in range(2):
            job.start()
            job.publish()
        assert self.ids(config) == once
        into.load(records("d"))
        assert self.ids(config) == (["d"] if mode is FULL_REFRESH else [*once, "d"])

    @staged()
    def test_a_job_that_died_before_publishing_is_published_by_the_next_start(
        self, config: "AbstractDestinationConfig", pipeline: OpenPipeline, mode: "SourceSyncModes"
    ) -> None:
        into = pipeline(mode)
        into.load(records("a"))
        job = into.job()
        job.start()
        job.commit(0, records("b"))
        job.exhaust()
        job.start()
        assert self.ids(config) == ["a"]
        job.publish()
        assert self.ids(config) == (["b"] if mode is FULL_REFRESH else ["a", "b"])

    @staged()
    def test_rows_of_a_job_that_was_given_up_never_show(
        self, config: "AbstractDestinationConfig", pipeline: OpenPipeline, mode: "SourceSyncModes"
    ) -> None:
        into = pipeline(mode)
        given_up = into.job()
        given_up.start()
        given_up.commit(0, records("lost"))
        given_up.write(1, records("lost too"))
        into.load(records("kept"))
        into.load(records("later"))
        assert self.ids(config) == (["later"] if mode is FULL_REFRESH else ["kept", "later"])

    @every_mode()
    def test_two_pipelines_with_tables_of_their_own_do_not_mix(
        self, config: "AbstractDestinationConfig", pipeline: OpenPipeline, mode: "SourceSyncModes"
    ) -> None:
        other = self.other_table(config)
        first, second = pipeline(mode, name="first").job(), pipeline(mode, other, "second").job()
        first.start()
        first.commit(0, records("a"))
        second.start()
        second.commit(0, records("b"))
        first.start()
        first.commit(1, records("c"))
        first.end()
        second.end()
        assert self.ids(config) == ["a", "c"]
        assert self.ids(config, other) == ["b"]

    @in_modes((STREAM,))
    def test_in_stream_mode_rows_are_seen_at_once_in_the_table_they_name(
        self, config: "AbstractDestinationConfig", pipeline: OpenPipeline, mode: "SourceSyncModes"
    ) -> None:
        other = self.other_table(config)
        job = pipeline(mode).job()
        job.start()
        job.commit(0, records("a"))
        assert self.ids(config) == ["a"]
        job.write(1, records("b"), table=other)
        job.write(1, records("c"))
        job.record(1, 2)
        assert self.ids(config) == ["a", "c"]
        assert self.ids(config, other) == ["b"]

    def test_it_says_where_the_records_are(self, pipeline: OpenPipeline) -> None:
        into = pipeline(self.modes[0])
        into.load(records("a"))
        assert into.opened[-1].describe().strip()

    def test_it_can_be_closed_before_it_was_used(self, pipeline: OpenPipeline) -> None:
        into = pipeline(self.modes[0])
        into.open("never connected")
        assert into.open("never prepared").check_connection() is True
        into.close()
