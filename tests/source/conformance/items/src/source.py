"""A source that keeps the whole contract: cursor pagination, a token, incremental by time."""

from enum import StrEnum
from typing import Any, Literal

import requests
from pydantic import Field
from requests.auth import AuthBase

from bizon.source.auth.authenticators.token import TokenAuthParams
from bizon.source.auth.builder import AuthBuilder
from bizon.source.auth.config import AuthConfig, AuthType
from bizon.source.config import SourceConfig
from bizon.source.models import SourceIncrementalState, SourceIteration, SourceRecord
from bizon.source.source import AbstractSource


class ItemsStreams(StrEnum):
    ITEMS = "items"
    NOTHING = "nothing"


class ItemsAuthConfig(AuthConfig):
    type: Literal[AuthType.API_KEY] = Field(description="api_key.")
    params: TokenAuthParams = Field(description="The token.")


class ItemsConfig(SourceConfig):
    authentication: ItemsAuthConfig = Field(description="How to authenticate.")
    base_url: str = Field(description="URL of the API.")


class ItemsSource(AbstractSource):
    config: ItemsConfig

    @staticmethod
    def streams() -> list[str]:
        return [stream.value for stream in ItemsStreams]

    @staticmethod
    def get_config_class() -> type[SourceConfig]:
        return ItemsConfig

    def get_authenticator(self) -> AuthBase | None:
        return AuthBuilder.token(params=self.config.authentication.params)

    def check_connection(self) -> tuple[bool, Any | None]:
        try:
            self.fetch()
        except requests.RequestException as error:
            return False, str(error)
        return True, None

    def get_total_records_count(self) -> int | None:
        return self.fetch()["total"]

    def get(self, pagination: dict[str, Any] | None = None) -> SourceIteration:
        return self.iteration(self.fetch(cursor=pagination["cursor"] if pagination else None))

    def get_records_after(
        self, source_state: SourceIncrementalState, pagination: dict[str, Any] | None = None
    ) -> SourceIteration:
        cursor = pagination["cursor"] if pagination else None
        return self.iteration(self.fetch(cursor=cursor, since=source_state.last_run.isoformat()))

    def fetch(self, **params: str | None) -> dict[str, Any]:
        return self.session.get(f"{self.config.base_url}/{self.config.stream}", params=params).json()

    def iteration(self, page: dict[str, Any]) -> SourceIteration:
        records = [SourceRecord(id=item["id"], data=item) for item in page["items"]]
        cursor = page.get("next")
        return SourceIteration(records=records, next_pagination={"cursor": cursor} if cursor else {})
