"""Presets, against stand-ins that behave like the documentation of their APIs: caps, limits and refusals included."""

import pytest
from connectors.sources.rest.conftest import NO_WAITS, ids, opened, records_of, window
from standins.rest import presets
from standins.rest.presets import BEARER, START
from standins.rest.server import Reply

from bizon.common.errors.errors import ConfigError


def preset(api, name, stream, **keys):
    http = {**NO_WAITS, "rate": 10_000}
    return {"name": "rest", "preset": name, "stream": stream, "base_url": api.url, "http": http, **keys}


class TestPokeapi:
    @pytest.fixture(autouse=True)
    def _serve(self, api):
        presets.pokeapi(api)

    def test_lists(self, api):
        assert ids(preset(api, "pokeapi", "pokemon")) == [f"pokemon-{number}" for number in range(7)]

    def test_details_of_each(self, api):
        assert ids(preset(api, "pokeapi", "pokemon_details")) == [str(number) for number in range(7)]
        assert all("limit" not in asked.params for asked in api.served if asked.path != "/pokemon")


class TestGithub:
    ORG = presets.ORG

    @pytest.fixture(autouse=True)
    def _serve(self, api):
        presets.github(api, limits=1)

    def test_repositories(self, api):
        assert ids(preset(api, "github", "repositories", **self.ORG)) == ["0", "1", "2", "3", "4"]
        assert {asked.headers["x-github-api-version"] for asked in api.served} == {"2022-11-28"}

    def test_issues_of_all_repositories_but_one_without_and_in_spite_of_a_limit(self, api):
        found = records_of(preset(api, "github", "issues", **self.ORG))
        assert len(found) == 4 * 6
        assert {each.data["repository_full_name"] for each in found} == {f"acme/r{number}" for number in (0, 2, 3, 4)}

    def test_issues_that_changed(self, api):
        found = ids(preset(api, "github", "issues", **self.ORG), window("2024-05-01T03:00:00", "2024-05-01T05:00:00"))
        assert found == [f"r{number}-{hour}" for number in (0, 2, 3, 4) for hour in (3, 4)]

    def test_commits_of_an_empty_repository(self, api):
        assert len(ids(preset(api, "github", "commits", **self.ORG))) == 4 * 6

    def test_new_commits(self, api):
        source = preset(api, "github", "commits", **self.ORG)
        assert len(ids(source, window("2024-05-01T02:00:00", "2024-05-01T05:00:00"))) == 4 * 3
        assert {asked.params["since"] for asked in api.served if "/commits" in asked.path} == {"2024-05-01T02:00:00Z"}

    def test_pull_requests_and_those_that_changed(self, api):
        source = preset(api, "github", "pull_requests", **self.ORG)
        assert len(ids(source)) == 4 * 6
        found = ids(source, window("2024-05-01T03:00:00", "2024-05-01T05:00:00"))
        assert found == [f"r{number}-{hour}" for number in (0, 2, 3, 4) for hour in (3, 4)]

    def test_a_refusal_that_is_not_a_limit_is_an_error(self, api):
        api.before = lambda asked: Reply({"message": "Resource not accessible by integration"}, 403)
        with pytest.raises(Exception, match="Resource not accessible"):
            ids(preset(api, "github", "members", **self.ORG))


class TestStripe:
    @pytest.fixture(autouse=True)
    def _serve(self, api):
        presets.stripe(api)

    def test_newest_first(self, api):
        found = records_of(preset(api, "stripe", "events", authentication=BEARER))
        assert [each.id for each in found] == [f"evt_{number}" for number in range(8, -1, -1)]
        assert found[-1].timestamp == START

    def test_events_of_a_window(self, api):
        source = preset(api, "stripe", "events", authentication=BEARER)
        found = ids(source, window("2024-05-01T00:01:00", "2024-05-01T00:03:00"))
        assert found == ["evt_5", "evt_4", "evt_3", "evt_2"]

    def test_canceled_subscriptions_are_asked_for(self, api):
        ids(preset(api, "stripe", "subscriptions", authentication=BEARER))
        assert {asked.params["status"] for asked in api.served} == {"all"}


class TestHubspot:
    COUNT = 10_450  # more than search gives out of a query

    @pytest.fixture(autouse=True)
    def _serve(self, api):
        presets.hubspot(api, self.COUNT)

    def test_all_contacts_although_search_gives_out_ten_thousand(self, api):
        found = ids(preset(api, "hubspot", "contacts", authentication=BEARER), restarts=False)
        assert found == [str(number) for number in range(self.COUNT)]

    def test_contacts_that_changed(self, api):
        source = preset(api, "hubspot", "contacts", authentication=BEARER)
        found = ids(source, window("2024-05-01T01:00:00", "2024-05-01T02:00:00"), restarts=False)
        assert (found[0], found[-1], len(found)) == ("515", "1028", 514)  # every 7 seconds

    def test_archived_contacts_are_tombstones(self, api):
        found = records_of(preset(api, "hubspot", "contacts_archived", authentication=BEARER))
        assert [each.data["_deleted"] for each in found] == [True, True, True]

    def test_custom_objects_and_archived_ones(self, api):
        keys = {"authentication": BEARER, "variables": {"object": "p_cars"}}
        source = preset(api, "hubspot", "custom_objects", **keys)
        assert len(ids(source, window("2024-05-01T01:00:00", "2024-05-01T02:00:00"), restarts=False)) == 514
        assert len(ids(preset(api, "hubspot", "custom_objects_archived", **keys))) == 3

    def test_custom_objects_need_their_name(self, api):
        with pytest.raises(ConfigError, match=r"variables\.object"):
            opened(preset(api, "hubspot", "custom_objects", authentication=BEARER))


@pytest.mark.parametrize(
    ("name", "stream", "seconds"),
    [("github", "commits", 604_800), ("github", "issues", 0), ("stripe", "events", 300), ("hubspot", "contacts", 600)],
)
def test_a_run_overlaps_the_last_one_by_the_lookback_of_the_endpoint(api, name, stream, seconds):
    assert opened(preset(api, name, stream, **presets.ORG)).config.window_overlap == seconds
