"""Presets, against stand-ins that behave like the documentation of their APIs: caps, limits and refusals included."""

from datetime import UTC, datetime, timedelta

import pytest
from connectors.sources.rest.conftest import NO_WAITS, ids, opened, records_of, window
from standins.rest.server import TOKEN, Reply, by_link

from bizon.common.errors.errors import ConfigError

BEARER = {"type": "bearer", "params": {"token": TOKEN}}
START = datetime(2024, 5, 1, tzinfo=UTC)


def preset(api, name, stream, **keys):
    http = {**NO_WAITS, "rate": 10_000}
    return {"name": "rest", "preset": name, "stream": stream, "base_url": api.url, "http": http, **keys}


class TestPokeapi:
    @pytest.fixture(autouse=True)
    def _serve(self, api):
        names = [f"pokemon-{number}" for number in range(7)]

        def listed(asked):
            start, size = int(asked.params.get("offset", 0)), min(int(asked.params["limit"]), 3)
            following = f"{api.url}{asked.path}?offset={start + size}&limit={size}"
            found = [{"name": name, "url": f"{api.url}/pokemon/{name}/"} for name in names[start : start + size]]
            return {"count": 7, "next": following if start + size < 7 else None, "previous": None, "results": found}

        api.routes["/pokemon"] = listed
        api.routes["/pokemon/*"] = lambda asked: {
            "id": names.index(asked.path.split("/")[2]),
            "name": asked.path.split("/")[2],
        }

    def test_lists(self, api):
        assert ids(preset(api, "pokeapi", "pokemon")) == [f"pokemon-{number}" for number in range(7)]

    def test_details_of_each(self, api):
        assert ids(preset(api, "pokeapi", "pokemon_details")) == [str(number) for number in range(7)]
        assert all("limit" not in asked.params for asked in api.served if asked.path != "/pokemon")


class TestGithub:
    ORG = {"variables": {"org": "acme"}, "authentication": BEARER}

    @pytest.fixture(autouse=True)
    def _serve(self, api):
        repositories = [
            {"id": number, "name": f"r{number}", "full_name": f"acme/r{number}", "owner": {"login": "acme"}}
            for number in range(5)
        ]
        issues = [
            {"id": number, "updated_at": (START + timedelta(hours=number)).isoformat().replace("+00:00", "Z")}
            for number in range(6)
        ]
        self.limits = 1

        def below(asked):
            _, _, _, name, what = asked.path.split("/")
            if self.limits:
                self.limits -= 1
                return Reply({"message": "You have exceeded a secondary rate limit. Please wait."}, 403)
            if name == "r1":
                return Reply({"message": "Git Repository is empty."}, 409 if what == "commits" else 410)
            since, until = asked.params.get("since", ""), asked.params.get("until", "9")
            if what == "commits":
                times = [each for each in issues if since <= each["updated_at"] < until]
                commits = [
                    {"sha": f"{name}-{each['id']}", "commit": {"committer": {"date": each["updated_at"]}}}
                    for each in times
                ]
                return by_link(commits, asked, api.url, 4)
            if what == "pulls":
                since = ""
            found = [{**each, "id": f"{name}-{each['id']}"} for each in issues if each["updated_at"] >= since]
            return by_link(found, asked, api.url, 4)

        api.admits = lambda asked: asked.headers.get("authorization") == f"Bearer {TOKEN}"
        api.routes["/orgs/acme/repos"] = lambda asked: by_link(repositories, asked, api.url, 2)
        api.routes["/repos/*"] = below

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

    def test_new_commits_with_an_overlap_of_a_week(self, api):
        source = preset(api, "github", "commits", **self.ORG)
        assert len(ids(source, window("2024-05-08T02:00:00", "2024-05-08T05:00:00"))) == 4 * 4
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
        created = int(START.timestamp())
        events = [{"id": f"evt_{number}", "created": created + 60 * (number // 2)} for number in range(9)][::-1]

        def listed(asked):
            low = int(asked.params.get("created[gte]", 0))
            high = int(asked.params.get("created[lt]", 10**12))
            found = [each for each in events if low <= each["created"] < high]
            after = asked.params.get("starting_after")
            names = [each["id"] for each in found]
            begin = names.index(after) + 1 if after else 0
            size = min(int(asked.params["limit"]), 4)
            return {"object": "list", "data": found[begin : begin + size], "has_more": begin + size < len(found)}

        api.routes["/events"] = api.routes["/subscriptions"] = listed

    def test_newest_first(self, api):
        found = records_of(preset(api, "stripe", "events", authentication=BEARER))
        assert [each.id for each in found] == [f"evt_{number}" for number in range(8, -1, -1)]
        assert found[-1].timestamp == START

    def test_events_of_a_window(self, api):
        source = preset(api, "stripe", "events", authentication=BEARER)
        found = ids(source, window("2024-05-01T00:06:00", "2024-05-01T00:08:00"))
        assert found == [f"evt_{number}" for number in range(8, 1, -1)]  # an overlap of five minutes

    def test_canceled_subscriptions_are_asked_for(self, api):
        ids(preset(api, "stripe", "subscriptions", authentication=BEARER))
        assert {asked.params["status"] for asked in api.served} == {"all"}


class TestHubspot:
    COUNT = 10_450  # more than search gives out of a query

    @pytest.fixture(autouse=True)
    def _serve(self, api):
        first = int(START.timestamp() * 1000)
        contacts = [
            (first + 7_000 * number, {"id": str(number), "properties": {"email": f"{number}@x"}, "archived": False})
            for number in range(self.COUNT)
        ]
        for moment, each in contacts:
            text = datetime.fromtimestamp(moment / 1000, UTC).isoformat(timespec="milliseconds")
            each["properties"]["lastmodifieddate"] = text.replace("+00:00", "Z")

        def search(asked):
            bounds = {"GTE": "0", "LT": "9" * 15}
            for each in asked.params["filterGroups"][0]["filters"]:
                assert isinstance(each["value"], str)
                bounds[each["operator"]] = each["value"]
            found = [each for moment, each in contacts if int(bounds["GTE"]) <= moment < int(bounds["LT"])]
            begin, size = int(asked.params.get("after", 0)), asked.params["limit"]
            if begin + size > 10_000 or size > 200:
                return Reply({"status": "error", "message": "There was a problem with the request."}, 400)
            page = {"total": len(found), "results": found[begin : begin + size]}
            if begin + size < min(len(found), 10_000):
                page["paging"] = {"next": {"after": str(begin + size)}}
            return page

        archived = [{"id": str(number), "properties": {}, "archived": True} for number in range(3)]

        def custom(asked):
            filters = asked.params["filterGroups"][0]["filters"]
            assert {each["propertyName"] for each in filters} == {"hs_lastmodifieddate"}
            page = search(asked)
            times = [each["properties"].get("lastmodifieddate") for each in page["results"]]
            found = [
                {**each, "properties": {"hs_lastmodifieddate": moment}}
                for each, moment in zip(page["results"], times, strict=True)
            ]
            return {**page, "results": found}

        api.routes["/crm/v3/objects/p_cars/search"] = custom
        api.routes["/crm/v3/objects/p_cars"] = lambda asked: {"results": archived}
        api.routes["/crm/v3/objects/contacts/search"] = search
        api.routes["/crm/v3/objects/contacts"] = lambda asked: {
            "results": archived if asked.params["archived"] == "true" else []
        }

    def test_all_contacts_although_search_gives_out_ten_thousand(self, api):
        found = ids(preset(api, "hubspot", "contacts", authentication=BEARER), restarts=False)
        assert found == [str(number) for number in range(self.COUNT)]

    def test_contacts_that_changed_with_an_overlap(self, api):
        source = preset(api, "hubspot", "contacts", authentication=BEARER)
        found = ids(source, window("2024-05-01T01:00:00", "2024-05-01T02:00:00"), restarts=False)
        assert (found[0], found[-1], len(found)) == ("429", "1028", 600)  # 50 minutes to 2 hours, every 7 seconds

    def test_archived_contacts_are_tombstones(self, api):
        found = records_of(preset(api, "hubspot", "contacts_archived", authentication=BEARER))
        assert [each.data["_deleted"] for each in found] == [True, True, True]

    def test_custom_objects_and_archived_ones(self, api):
        keys = {"authentication": BEARER, "variables": {"object": "p_cars"}}
        source = preset(api, "hubspot", "custom_objects", **keys)
        assert len(ids(source, window("2024-05-01T01:00:00", "2024-05-01T02:00:00"), restarts=False)) == 600
        assert len(ids(preset(api, "hubspot", "custom_objects_archived", **keys))) == 3

    def test_custom_objects_need_their_name(self, api):
        with pytest.raises(ConfigError, match=r"variables\.object"):
            opened(preset(api, "hubspot", "custom_objects", authentication=BEARER))
