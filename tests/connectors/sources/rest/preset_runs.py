"""Runs of presets against their stand-ins: what a whole run asks for, and a run that is killed."""

import contextlib
import json
import sqlite3
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

from e2e.conftest import Pipeline
from standins.rest import presets
from standins.rest.server import Asked, Json, Reply, RestStandIn

from bizon import RunnerFactory
from bizon.common.clock import fixed_at

BEARER = {"authentication": presets.BEARER}
SEARCH = {"pages": {"cap": 12, "size": 4}}
CONTACTS = 30
KEYS: Mapping[str, Json] = {
    "pokeapi": {},
    "github": presets.ORG,
    "stripe": {**BEARER, "defaults": {"params": {"limit": 2}}},
    "hubspot": {
        **BEARER,
        "variables": {"object": "p_cars"},
        "endpoints": {
            **dict.fromkeys(("contacts", "custom_objects", "deals"), SEARCH),
            "contacts_archived": {"params": {"limit": 1}},
        },
    },
}
"""The keys on top of a preset; pages are small, and a search is cut off soon."""
NOTHING: Mapping[str, Any] = {
    "github": [],
    "stripe": {"object": "list", "data": [], "has_more": False},
    "hubspot": {"total": 0, "results": []},
}
"""An empty list of each API."""


class Case(NamedTuple):
    """A stream of a preset, in a sync mode."""

    preset: str
    stream: str
    mode: str

    def __str__(self) -> str:
        return " ".join(self)


CASES = [
    *(Case("pokeapi", stream, "full_refresh") for stream in ("pokemon", "pokemon_details")),
    *(Case("github", "repositories", "full_refresh"), Case("stripe", "customers", "full_refresh")),
    Case("hubspot", "contacts_archived", "full_refresh"),
    *(
        Case(preset, stream, mode)
        for preset, streams in {
            "github": ("issues", "pull_requests", "commits"),
            "stripe": ("events",),
            "hubspot": ("contacts", "custom_objects", "deals"),
        }.items()
        for stream in streams
        for mode in ("full_refresh", "incremental")
    ),
]


class Whole(NamedTuple):
    """A run that nothing interrupts, on one thread. ``committed``: the pages that were committed when each of its
    requests came, without a check, and at the end; ``rows``: the ids of its records."""

    committed: list[int]
    rows: list[str]

    def safe(self, pages: int) -> int:
        """The number of requests that nobody needs again when that many pages are committed."""
        return max(position for position, count in enumerate(self.committed) if count <= pages)


class PresetRun:
    """A pipeline that commits each page. In sync mode incremental a run before has found an empty list, before the
    records of the stand-in changed."""

    def __init__(self, folder: Path, api: RestStandIn, case: Case) -> None:
        self.api, self.case = api, case
        self.pipeline = Pipeline(folder).destination(buffer_size=0)
        serve(api, case.preset)
        http = {"rate": 10_000, "retries": {"backoff_factor": 0, "total": 3}}
        keys = {"name": "rest", "preset": case.preset, "stream": case.stream, "base_url": api.url, "http": http}
        self.pipeline.source(source_file_path=None, **keys, **KEYS[case.preset], sync_mode=case.mode)
        if case.mode == "incremental":
            api.before = lambda asked: Reply(NOTHING[case.preset])
            _ = self.pipeline.command
            with contextlib.chdir(folder), fixed_at(presets.START - timedelta(days=1)):
                RunnerFactory.create_from_yaml("config.yml").run(raise_on_failure=True)
            api.before = lambda asked: None
        self._before = len(api.served)

    def whole(self) -> Whole:
        """Run to the end."""
        committed: list[int] = []
        self.api.before = lambda asked: committed.append(self.committed())
        self.pipeline.run("--runner", "stream")
        return Whole([*committed[self.checks :], self.committed()], self.rows())

    @property
    def checks(self) -> int:
        """The requests with which a run begins only to check the connection. It asks for the first page of a full
        refresh, or of the parents, and uses the answer where it needs that page."""
        return 1 if self.case.mode == "incremental" and self.case.preset != "github" else 0

    def asked(self) -> list[str]:
        """The requests since the pipeline was made."""
        return [key_of(asked) for asked in self.api.served[self._before :]]

    def rows(self) -> list[str]:
        return [line["source_record_id"] for line in self.pipeline.lines()]

    def committed(self) -> int:
        """The pages of the newest job that are committed."""
        if not (self.pipeline.folder / "state.sqlite3").exists():
            return 0
        newest = "SELECT id FROM stream_jobs ORDER BY created_at DESC LIMIT 1"
        pages = f"SELECT max(to_source_iteration) FROM destination_cursors WHERE job_id = ({newest})"
        try:
            ((last,),) = self.pipeline.in_state(pages)
        except sqlite3.OperationalError:  # it has no tables yet
            return 0
        return 0 if last is None else int(last) + 1


def serve(api: RestStandIn, preset: str) -> None:
    """A stand-in with few records."""
    if preset == "hubspot":
        presets.hubspot(api, CONTACTS, cap=SEARCH["pages"]["cap"])
    else:
        presets.SERVE[preset](api)


def key_of(asked: Asked) -> str:
    """Identifies a request, with the whole of its body."""
    return f"{asked.path} {json.dumps(asked.params, sort_keys=True)}"
