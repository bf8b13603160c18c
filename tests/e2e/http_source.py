"""A custom source as docs/contributing/adding-sources.md shows it, over HTTP. ``checked``: whether ``check_connection``
makes a request."""

from typing import Any

from bizon.source.auth.authenticators.oauth import Oauth2AuthParams
from bizon.source.auth.builder import AuthBuilder
from bizon.source.auth.config import AuthConfig
from bizon.source.config import SourceConfig
from bizon.source.models import SourceIncrementalState, SourceIteration, SourceRecord
from bizon.source.source import AbstractSource


class OAuth(AuthConfig):
    params: Oauth2AuthParams


class HttpSourceConfig(SourceConfig):
    base_url: str
    checked: bool = False
    authentication: OAuth | None = None


class HttpSource(AbstractSource):
    config: HttpSourceConfig

    @staticmethod
    def streams() -> list[str]:
        return ["items"]

    @staticmethod
    def get_config_class() -> type[SourceConfig]:
        return HttpSourceConfig

    def get_authenticator(self) -> Any:
        return AuthBuilder.oauth2(self.config.authentication.params) if self.config.authentication else None

    def check_connection(self) -> tuple[bool, str | None]:
        if self.config.checked:
            self.session.get(f"{self.config.base_url}/items")
        return True, None

    def get(self, pagination: dict[str, Any] | None = None) -> SourceIteration:
        page = self.session.get(f"{self.config.base_url}/items", params=pagination or {}).json()
        cursor = page.get("next")
        records = [SourceRecord(id=item["id"], data=item) for item in page["items"]]
        return SourceIteration(records=records, next_pagination={"cursor": cursor} if cursor else {})

    def get_records_after(
        self, source_state: SourceIncrementalState, pagination: dict[str, Any] | None = None
    ) -> SourceIteration:
        return self.get(pagination)
