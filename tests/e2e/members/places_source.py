"""A source that takes members, whose protocol is a file: the test decides who reads which place, and when.

``end`` is how many records each place has. ``assigned.json`` names the places of each member, who is known by MEMBER.
Once a member has followed it, ``owns-<member>.json`` says what the member reads. A run that is alone reads everything.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from requests.auth import AuthBase

from bizon.source.config import SourceConfig
from bizon.source.models import SourceIteration, SourceRecord
from bizon.source.source import AbstractSource

PLACES = ("a", "b", "c", "d")
PAGE = 5  # records


class PlacesSource(AbstractSource):
    """Each record is ``{"place": ..., "n": ...}``."""

    takes_members = True
    resumes_streams = True
    fetches_over_http = False

    def __init__(self, config: SourceConfig) -> None:
        super().__init__(config)
        self._at: dict[str, int] = {}
        self._name = os.environ.get("MEMBER", "")
        self._has_begun = False

    @staticmethod
    def streams() -> list[str]:
        return ["places"]

    @staticmethod
    def get_config_class() -> type[SourceConfig]:
        return SourceConfig

    def get_authenticator(self) -> AuthBase | None:
        return None

    def check_connection(self) -> tuple[bool, Any | None]:
        return True, None

    @staticmethod
    def places_of(pagination: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        return {place: {"at": {place: position}} for place, position in pagination.get("at", {}).items()}

    @staticmethod
    def pagination_of(places: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
        at = {name: position for place in places.values() for name, position in place["at"].items()}
        return {"at": at} if at else {}

    def get(self, pagination: dict[str, Any] | None = None) -> SourceIteration:
        if self.member is None and not self._has_begun:
            self._at = {place: (pagination or {}).get("at", {}).get(place, 0) for place in PLACES}
        self._has_begun = True
        if self.member is not None:
            self._follow()
        end = int(Path("end").read_text())
        for place, position in sorted(self._at.items(), key=lambda item: item[1]):
            numbers = range(position, min(position + PAGE, end))
            if numbers:
                self._at[place] = numbers.stop
                records = [SourceRecord(f"{place}-{n}", {"place": place, "n": n}) for n in numbers]
                return SourceIteration({"at": dict(self._at)}, records)
        return SourceIteration({})

    def get_lag(self) -> int | None:
        end = int(Path("end").read_text())
        return sum(end - position for position in self._at.values())

    def _follow(self) -> None:
        assert self.member is not None
        wanted = set(json.loads(Path("assigned.json").read_text()).get(self._name, ()))
        gone, new = sorted(self._at.keys() - wanted), sorted(wanted - self._at.keys())
        if gone:
            self.member.write_all()
            self._at = {place: position for place, position in self._at.items() if place in wanted}
            self.member.release(gone)
        if new:
            found = self.member.claim(new)
            self._at.update({place: found.get(place, {"at": {place: 0}})["at"][place] for place in new})
        if gone or new:
            Path(f"owns-{self._name}.json").write_text(json.dumps(sorted(self._at)))

    def close(self) -> None:
        if self.member is not None and self._at:
            self.member.release(sorted(self._at))
        super().close()
