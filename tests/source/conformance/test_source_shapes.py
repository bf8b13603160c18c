"""The suite on sources of other shapes: OAuth, several requests per page on threads, a stream that is too long."""

import json
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import pytest
from items_api import SOURCE_FILE, TOKEN, ItemsApi, items_block
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from bizon.engine.engine import load_config_dict
from bizon.source.auth.authenticators.oauth import Oauth2AuthParams
from bizon.source.auth.builder import AuthBuilder
from bizon.source.auth.config import AuthConfig
from bizon.source.discover import load_custom_source
from bizon.source.models import SourceIteration, SourceRecord
from bizon.testing.source_behaviours import SourceBehaviours
from bizon.testing.source_probe import spots, tried
from bizon.testing.source_report import Status, verdicts
from bizon.testing.source_subject import BehaviourError, Subject

Items: Any = load_custom_source(SOURCE_FILE)


class OauthConfig(AuthConfig):
    params: Oauth2AuthParams


class OauthItemsConfig(Items.get_config_class()):
    authentication: OauthConfig


class OauthItems(Items):
    @staticmethod
    def get_config_class():
        return OauthItemsConfig

    def get_authenticator(self):
        return AuthBuilder.oauth2(self.config.authentication.params)


class DetailedItems(Items):
    """Each page needs a request per record, on threads."""

    def iteration(self, page):
        following = super().iteration(page).next_pagination
        with ThreadPoolExecutor(3) as pool:
            details = list(pool.map(self.details, page["items"]))
        records = [
            SourceRecord(id=item["id"], data={**item, "d": d}) for item, d in zip(page["items"], details, strict=True)
        ]
        return SourceIteration(records=records, next_pagination=following)

    def details(self, item):
        return self.session.get(f"{self.config.base_url}/items", params={"details": item["id"]}).json()["total"]


class SwallowsErrorsOfDetails(DetailedItems):
    def details(self, item):
        try:
            return super().details(item)
        except Exception:
            return None


def subject(kind: Any, block: dict[str, Any]) -> Subject:
    pipeline = {"name": "shapes", "source": block, "destination": {"name": "logger"}}
    return Subject(load_config_dict(pipeline, kind))


def test_a_source_with_oauth_passes_without_hooks(httpserver: HTTPServer) -> None:
    def token(request: Request) -> Response:
        if request.form["client_secret"] != "the-secret-of-the-client":
            return Response(json.dumps({"error": "invalid_client"}), 401, content_type="application/json")
        return Response(json.dumps({"access_token": TOKEN, "expires_in": 3600}), content_type="application/json")

    block = items_block(ItemsApi(httpserver))
    httpserver.expect_request("/token").respond_with_handler(token)
    params = {"token_refresh_endpoint": httpserver.url_for("/token"), "client_id": "me-as-a-client"}
    block["authentication"] = {"type": "oauth", "params": {**params, "client_secret": "the-secret-of-the-client"}}
    found = list(verdicts(subject(OauthItems, block)))
    assert [each for each in found if each.status is Status.FAILED] == []
    assert [each.behaviour for each in found if each.status is Status.NOT_APPLICABLE] == [
        "streams are the same in the syntax tree and at run time",
        "the example configuration validates",
    ]


def test_faults_hit_the_last_request_of_a_page_as_well(httpserver: HTTPServer) -> None:
    block = items_block(ItemsApi(httpserver))
    SourceBehaviours().test_a_404_is_not_retried(subject(DetailedItems, block))
    SourceBehaviours().test_a_503_is_survived(subject(DetailedItems, block))
    SourceBehaviours().test_its_requests_pass_through_its_session(subject(DetailedItems, block))
    with pytest.raises(BehaviourError, match="became a page of 3 records"):
        SourceBehaviours().test_a_404_is_not_retried(subject(SwallowsErrorsOfDetails, block))


@pytest.mark.parametrize("status", [503, 429])
def test_temporary_outages_of_an_api_do_not_fail_its_source(
    httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """Faults hit requests by their number, which the retries moved: behaviours of a good source failed."""
    block, numbers, answer = items_block(ItemsApi(httpserver)), count(1), httpserver.dispatch

    def every_third_is_refused(request: Request) -> Response:
        return answer(request) if next(numbers) % 3 else Response("later", status, {"Retry-After": "0"})

    monkeypatch.setattr(httpserver, "dispatch", every_third_is_refused)
    assert [each for each in verdicts(subject(Items, block)) if each.status is Status.FAILED] == []


def test_an_api_that_goes_down_is_named_and_not_the_source(
    httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = subject(Items, items_block(ItemsApi(httpserver)))
    spot = spots(wanted)[0]
    monkeypatch.setattr(httpserver, "dispatch", lambda _request: Response("down", 503))
    with pytest.raises(BehaviourError, match="the API itself answered 503"):
        tried(wanted, spot, lambda real, _echo: real)


def test_a_long_stream_is_tested_for_max_iterations_pages(httpserver: HTTPServer) -> None:
    found = verdicts(subject(Items, items_block(ItemsApi(httpserver), max_iterations=2)))
    status = {each.behaviour: (each.status, each.text) for each in found}
    left_out = "the stream was read for 2 pages, and not to its end"
    assert status["paging ends"] == (Status.NOT_APPLICABLE, "source.max_iterations stops the reading after 2 pages")
    assert status["the total is true or none"] == (Status.NOT_APPLICABLE, left_out)
    assert [each for each in status.values() if each[0] is Status.FAILED] == []
