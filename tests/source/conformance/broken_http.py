"""Sources that mishandle HTTP faults, each in one way."""

import json
from typing import Any

import requests
from items_api import SOURCE_FILE
from requests.adapters import HTTPAdapter

from bizon.source.discover import load_custom_source

Items: Any = load_custom_source(SOURCE_FILE)


class SwallowsErrors(Items):
    def fetch(self, **params):
        try:
            return super().fetch(**params)
        except (requests.RequestException, ValueError):
            return {"items": [], "total": 0}


class TakesHtmlForRecords(Items):
    def fetch(self, **params):
        answer = self.session.get(f"{self.config.base_url}/{self.config.stream}", params=params)
        if "html" in answer.headers["Content-Type"]:
            return {"items": [{"id": "page", "text": answer.text}]}
        return answer.json()


class TakesAMissingListForAnEmptyOne(Items):
    def iteration(self, page):
        return super().iteration({"items": [], **page})


class ReadsPastTheEndOfABody(Items):
    def fetch(self, **params):
        answer = self.session.get(f"{self.config.base_url}/{self.config.stream}", params=params, stream=True)
        try:
            return json.loads(answer.raw.read())
        except Exception:
            return {"items": []}


class HidesThePath(Items):
    def fetch(self, **params):
        try:
            return super().fetch(**params)
        except (requests.RequestException, ValueError):
            raise RuntimeError("the API failed") from None


class HasASessionOfItsOwn(Items):
    """Its adapter has no retries, as in plain requests."""

    def get_session(self):
        session = super().get_session()
        session.mount("http://", HTTPAdapter())
        return session


class TriesA401Again(Items):
    def fetch(self, **params):
        try:
            return super().fetch(**params)
        except requests.HTTPError as error:
            if error.response.status_code in (401, 404):
                return super().fetch(**params)
            raise


class IgnoresRetryAfter(Items):
    def fetch(self, **params):
        for _ in range(3):
            url = f"{self.config.base_url}/{self.config.stream}"
            answer = self.session.get(url, params=params, hooks={"response": []})
            if answer.status_code not in (429, 503):
                answer.raise_for_status()
                return answer.json()
        return super().fetch(**params)

    def get_session(self):
        session = super().get_session()
        session.mount("http://", HTTPAdapter())
        session.hooks["response"] = []
        return session


class GoesPastItsSession(Items):
    def fetch(self, **params):
        headers = {"Authorization": f"Bearer {self.config.authentication.params.token}"}
        url = f"{self.config.base_url}/{self.config.stream}"
        return requests.get(url, params=params, headers=headers, timeout=10).json()


class ClaimsToNeedNoHttp(Items):
    fetches_over_http = False
