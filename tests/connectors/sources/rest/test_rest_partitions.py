"""Windows of a history as partitions: the suite's behaviours, and where there are none."""

from datetime import UTC, datetime

import pytest
from connectors.sources.rest.conftest import block
from connectors.sources.rest.test_rest_windows import endpoint, serve

from bizon.common.clock import fixed_at
from bizon.connectors.sources.rest.src import windows
from bizon.connectors.sources.rest.src.config import RestSourceConfig
from bizon.connectors.sources.rest.src.source import RestSource
from bizon.engine.engine import load_config_dict
from bizon.testing.source_partitions import PartitionBehaviours
from bizon.testing.source_subject import Subject

HISTORY = {"start": "2024-04-27", "window": "5d"}


def plans(config, **http):
    source = RestSource(RestSourceConfig.model_validate({**config, **({"http": http} if http else {})}))
    try:
        return source.get_partitions()
    finally:
        source.close()


def history(api, **incremental):
    return {**block(api, endpoint(**(incremental or HISTORY))), "sync_mode": "incremental"}


class TestWindows(PartitionBehaviours):
    """Partitions of three windows each. The clock stands still: windows up to today are more of them each day."""

    @pytest.fixture
    def subject(self, api, monkeypatch):
        serve(api)
        monkeypatch.setattr(windows, "_MOST_PARTS", 4)
        pipeline = {"name": "suite", "source": history(api), "destination": {"name": "logger"}}
        with fixed_at(datetime(2024, 6, 10, tzinfo=UTC)):
            yield Subject(load_config_dict(pipeline))

    def test_a_partition_has_several_windows(self, subject):
        with subject.opened() as source:
            first, *_, last = [plan["window"] for plan in source.get_partitions()]
        assert [end[:10] for end in first] == ["2024-04-27", "2024-05-12"]
        assert last[1] is None


def test_the_windows_of_a_history_meet_and_the_last_one_is_open(api):
    serve(api)
    ends = [plan["window"] for plan in plans(history(api))]
    assert 2 <= len(ends) <= 100
    assert datetime.fromisoformat(ends[0][0]) == datetime.fromisoformat("2024-04-27T00:00:00+00:00")
    assert [end for _, end in ends[:-1]] == [begin for begin, _ in ends[1:]]
    assert ends[-1][1] is None


@pytest.mark.parametrize("incremental", [{"window": "1d"}, {"start": "2024-05-01"}])
def test_a_history_that_is_one_window_has_no_partitions(api, incremental):
    serve(api)
    assert plans(history(api, **incremental)) == []


def test_a_rate_is_kept_by_one_producer(api):
    serve(api)
    assert plans(history(api), rate=5) == []


def test_a_full_refresh_reads_its_windows_in_order(api):
    """A record that changes meanwhile moves to a later window, and nothing else would read it there."""
    serve(api)
    assert plans({**history(api), "sync_mode": "full_refresh"}) == []
