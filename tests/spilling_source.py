"""A source that sends its key everywhere: in headers, parameters and a JSON body; and a token of an answer."""

import base64
from typing import Any

import requests
from pydantic import Field
from requests.auth import AuthBase

from bizon.common.secret import SecretText, learn
from bizon.source.config import SourceConfig
from bizon.source.models import SourceIteration, SourceRecord
from bizon.source.source import AbstractSource


class SpillingConfig(SourceConfig):
    base_url: str = Field(description="URL of the API.")
    api_key: SecretText = Field(description="The key.")


class SpillingSource(AbstractSource):
    config: SpillingConfig

    @staticmethod
    def streams() -> list[str]:
        return ["things"]

    @staticmethod
    def get_config_class() -> type[SourceConfig]:
        return SpillingConfig

    def get_authenticator(self) -> AuthBase | None:
        return None

    def check_connection(self) -> tuple[bool, Any | None]:
        try:
            self.get()
        except requests.RequestException as error:
            return False, str(error)
        return True, None

    def get(self, pagination: dict[str, Any] | None = None) -> SourceIteration:
        key = self.config.api_key
        opened = self.session.post(f"{self.config.base_url}/sessions", json={"odd": {"value": key}, "password": key})
        answer = opened.json()
        token = learn(answer["access_token"])
        learn(answer["unnamed"])
        odd = base64.b64encode(key.encode()).decode()
        headers = {"Authorization": f"Bearer {key}", "X-Odd": odd, "Cookie": f"a={key}"}
        page = self.session.get(
            f"{self.config.base_url}/things",
            params={"api_key": key, "k": key, "b": odd, "s": token, **(pagination or {})},
            headers=headers,
        ).json()
        records = [SourceRecord(id=item["id"], data=item) for item in page["items"]]
        return SourceIteration(records=records, next_pagination={"token": page["token"]} if page["token"] else {})
