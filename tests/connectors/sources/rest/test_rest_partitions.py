"""Windows of a history, and groups of parents, as partitions: the suite's behaviours, and where there are none."""

import json
from datetime import UTC, datetime

import pytest
from connectors.sources.rest.conftest import block
from connectors.sources.rest.test_rest_parents import EXPECTED, ISSUES, PROJECTS
from connectors.sources.rest.test_rest_parents import serve as serve_parents
from connectors.sources.rest.test_rest_parents import source as children
from connectors.sources.rest.test_rest_windows import endpoint, serve

from bizon.common.clock import fixed_at
from bizon.connectors.sources.rest.src import parents, windows
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


class TestParents(PartitionBehaviours):
    """Partitions of two parents each, and of one."""

    @pytest.fixture
    def subject(self, api, monkeypatch):
        serve_parents(api)
        monkeypatch.setattr(parents, "_MOST_PARTS", 3)
        return Subject(load_config_dict({"name": "suite", "source": children(api), "destination": {"name": "logger"}}))

    def test_a_partition_has_several_parents(self, subject):
        with subject.opened() as source:
            found = [[json.loads(each)[0]["id"] for each in plan["waiting"]] for plan in source.get_partitions()]
        assert found == [["p/0", "p/1"], ["p/2", "p/3"], ["p/4"]]

    def test_a_partition_asks_for_no_parents(self, subject, api):
        with subject.opened() as source:
            plan = source.get_partitions()[1]
        api.served.clear()
        with subject.opened(partition=plan) as source:
            found = [record for page in subject.read(source) for record in page.ids]
        assert found == [each for each in EXPECTED if each.startswith(("p/2", "p/3"))]
        assert {asked.path for asked in api.served} == {"/projects/p%2F2/issues", "/projects/p%2F3/issues"}


def test_children_of_children_are_divided_by_their_own_parents(api):
    serve_parents(api)
    api.routes["/comments/*"] = lambda asked: {"items": [{"id": asked.path.rpartition("/")[2]}]}
    comments = {"path": "/comments/{parent.number}", "records": "items", "parent": {"stream": "issues"}}
    endpoints = {"projects": PROJECTS, "issues": ISSUES, "comments": comments}
    found = plans(block(api, {}, stream="comments", endpoints=endpoints))
    assert len(found) == len(EXPECTED)
    assert all(len(plan["waiting"]) == 1 for plan in found)


@pytest.mark.parametrize(("projects", "most"), [(0, 10), (1, 10), (7, 3)])
def test_parents_that_are_few_or_too_many_are_not_divided(api, monkeypatch, projects, most):
    monkeypatch.setattr(parents, "_MOST_PARTS", most)
    monkeypatch.setattr(parents, "_MOST_WAITING", 2)
    serve_parents(api, projects=projects)
    assert plans(children(api)) == []


def test_children_are_not_divided_where_a_rate_is_kept(api):
    serve_parents(api)
    assert plans(children(api), rate=5) == []
    assert api.served == []
