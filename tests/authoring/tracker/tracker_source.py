"""The ``tracker`` source: lists of a GraphQL API, page by page."""

from datetime import datetime
from typing import Any, Literal

import requests
from pydantic import Field
from requests.auth import AuthBase

from bizon.common.clock import utc_now
from bizon.common.errors.errors import SourceError
from bizon.source.auth.authenticators.token import TokenAuthParams
from bizon.source.auth.builder import AuthBuilder
from bizon.source.auth.config import AuthConfig, AuthType
from bizon.source.config import HttpRetriesConfig, SourceConfig
from bizon.source.models import SourceIncrementalState, SourceIteration, SourceRecord
from bizon.source.pages import Page
from bizon.source.source import AbstractSource


class BearerAuth(AuthConfig):
    """The token of an account."""

    type: Literal[AuthType.BEARER] = Field(description="bearer.")
    params: TokenAuthParams = Field(description="The token.")


class TrackerSourceConfig(SourceConfig):
    """The ``source`` block: a GraphQL API, and what to ask it for."""

    authentication: BearerAuth = Field(description="How to authenticate.")
    base_url: str = Field(
        default="https://api.example.com/graphql",
        description="URL to which queries are posted.",
    )
    page_size: int = Field(default=100, ge=1, le=250, description="Records per page.")


_COMMENTS = """
comments(first: 50, after: $comment) {
  nodes { id body createdAt }
  pageInfo { hasNextPage endCursor }
}
"""
_FIELDS = {
    "issues": "id title state { name } updatedAt " + _COMMENTS.replace(", after: $comment", ""),
    "projects": "id name updatedAt",
}
_FILTERS = {"issues": "IssueFilter", "projects": "ProjectFilter"}
_QUERY = """
query Page($first: Int!, $after: String, $filter: %s) {
  page: %s(first: $first, after: $after, filter: $filter, orderBy: createdAt) {
    nodes { %s }
    pageInfo { hasNextPage endCursor }
  }
}
"""
_MORE_COMMENTS = "query Comments($id: String!, $comment: String) { issue(id: $id) {" + _COMMENTS + "} }"


class TrackerSource(AbstractSource):
    """Issues with all their comments, and projects. The API reports no deletions: schedule a
    ``bizon run --full-refresh`` to notice them."""

    config: TrackerSourceConfig

    @staticmethod
    def streams() -> list[str]:
        return ["issues", "projects"]

    @staticmethod
    def get_config_class() -> type[SourceConfig]:
        return TrackerSourceConfig

    def get_authenticator(self) -> AuthBase | None:
        return AuthBuilder.token(params=self.config.authentication.params)

    def get_retry_policy(self) -> HttpRetriesConfig:
        """The limits of the API count by the hour."""
        return super().get_retry_policy().model_copy(update={"retry_after_max": 3600})

    def check_connection(self) -> tuple[bool, str | None]:
        try:
            self._fetch_page({}, first=1).list_at("data", "page", "nodes")
        except (requests.RequestException, SourceError) as error:
            return False, str(error)
        return True, None

    def get(self, pagination: dict[str, Any] | None = None) -> SourceIteration:
        return self._iteration(self._fetch_page(pagination or {}))

    def get_records_after(
        self,
        source_state: SourceIncrementalState,
        pagination: dict[str, Any] | None = None,
    ) -> SourceIteration:
        window = {"gte": source_state.last_run.isoformat()}
        if source_state.run_started_at is not None:
            window["lt"] = source_state.run_started_at.isoformat()
        return self._iteration(self._fetch_page(pagination or {}, filter={"updatedAt": window}))

    def _fetch_page(self, place: dict[str, Any], **variables: Any) -> Page:
        """The page at this place; ``{}`` is the first."""
        stream = self.config.stream
        query = _QUERY % (_FILTERS[stream], stream, _FIELDS[stream])
        return self._ask(query, {"first": self.config.page_size, **variables, **place})

    def _iteration(self, page: Page) -> SourceIteration:
        nodes = page.list_at("data", "page", "nodes")
        if self.config.stream == "issues":
            nodes = [self._with_all_comments(node) for node in nodes]
        ending = page["data"]["page"]["pageInfo"]
        return SourceIteration(
            records=[SourceRecord(id=node["id"], data=node, timestamp=node["updatedAt"]) for node in nodes],
            next_pagination={"after": ending["endCursor"]} if ending["hasNextPage"] else {},
        )

    def _with_all_comments(self, issue: dict[str, Any]) -> dict[str, Any]:
        """The issue with the list of its comments, of which a page of issues has the first 50."""
        comments = list(issue["comments"]["nodes"])
        ending = issue["comments"]["pageInfo"]
        while ending["hasNextPage"]:
            asked = ending["endCursor"]
            page = self._ask(_MORE_COMMENTS, {"id": issue["id"], "comment": asked})
            comments += page.list_at("data", "issue", "comments", "nodes")
            ending = page["data"]["issue"]["comments"]["pageInfo"]
            if ending["hasNextPage"] and ending["endCursor"] == asked:
                raise page.refused("the cursor of the comments does not advance")
        return {**issue, "comments": comments}

    def _ask(self, query: str, variables: dict[str, Any]) -> Page:
        """The answer to a query. Any error in it is an error, also next to a part of the data."""
        question = {"query": query, "variables": variables}
        page = self.session.page("POST", self.config.base_url, json=question, limited=self._seconds_to_wait)
        if page.get("errors"):
            raise page.refused("the query failed")
        return page

    @staticmethod
    def _seconds_to_wait(page: Page) -> float | None:
        """Seconds until the API answers again; ``None`` for any other answer."""
        for error in page.get("errors") or []:
            extensions = error.get("extensions") or {}
            if extensions.get("code") == "RATE_LIMITED":
                reset = extensions.get("resetAt")
                return max(0.0, (datetime.fromisoformat(reset) - utc_now()).total_seconds()) if reset else 0
        return None
