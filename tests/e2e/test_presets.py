"""Each preset through the real command, against a stand-in of its API: recorded, replayed, and windows of the past."""

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from standins.rest import presets
from standins.rest.server import TOKEN, RestStandIn

if TYPE_CHECKING:
    from conftest import Pipeline

STREAMS = [
    *(("pokeapi", "pokemon"), ("pokeapi", "pokemon_details")),
    *(("github", "repositories"), ("github", "issues"), ("github", "pull_requests"), ("github", "commits")),
    *(("stripe", "events"), ("stripe", "subscriptions")),
    *(("stripe", name) for name in ("customers", "invoices", "charges")),
    *(("hubspot", "contacts"), ("hubspot", "contacts_archived"), ("hubspot", "custom_objects")),
    *(("hubspot", name) for name in ("companies", "deals", "tickets")),
]
THROTTLED = {
    **dict.fromkeys([("hubspot", name) for name in ("companies", "deals", "tickets")], 450),
    **dict.fromkeys([("stripe", name) for name in ("customers", "invoices", "charges")], 9),
}
"""The number of records."""
KEYS: dict[str, dict[str, Any]] = {
    "pokeapi": {},
    "github": presets.ORG,
    "stripe": {"authentication": presets.BEARER},
    "hubspot": {"authentication": presets.BEARER, "variables": {"object": "p_cars"}},
}


@pytest.fixture
def api() -> Iterator[RestStandIn]:
    with RestStandIn().running() as server:
        yield server


def of_preset(pipeline: "Pipeline", api: RestStandIn, preset: str, stream: str, **keys: Any) -> "Pipeline":
    presets.SERVE[preset](api)
    http = {"rate": 10_000, "retries": {"backoff_factor": 0, "total": 3}}
    pipeline.source(source_file_path=None, name="rest", preset=preset, stream=stream, base_url=api.url, http=http)
    return pipeline.source(**KEYS[preset], **keys)


@pytest.mark.matrix(share=12)
@pytest.mark.parametrize(("preset", "stream"), STREAMS)
def test_a_preset_keeps_the_contract_of_sources_and_its_recording_replays(
    pipeline: "Pipeline", api: RestStandIn, preset: str, stream: str
) -> None:
    of_preset(pipeline, api, preset, stream)
    recorded = pipeline.bizon("source", "test", "config.yml", "--record", "tape")
    assert TOKEN not in "".join(file.read_text() for file in (pipeline.folder / "tape").iterdir())
    served = len(api.served)
    replayed = pipeline.bizon("source", "test", "config.yml", "--replay", "tape")
    assert len(api.served) == served
    assert replayed.stdout == recorded.stdout
    assert sum(line.startswith("ok ") for line in recorded.stdout.splitlines()) > 15


@pytest.mark.matrix(share=6)
@pytest.mark.parametrize(("preset", "stream"), THROTTLED)
def test_a_refusal_for_the_rate_costs_no_record(
    pipeline: "Pipeline", api: RestStandIn, preset: str, stream: str
) -> None:
    of_preset(pipeline, api, preset, stream).run()
    (refused,) = api.refused
    assert refused.startswith({"hubspot": f"/crm/v3/objects/{stream}", "stripe": f"/{stream}"}[preset])
    found = rows(pipeline)
    assert len(found) == len(set(found)) == THROTTLED[preset, stream]


def moment(**after_the_start: float) -> str:
    return (presets.START + timedelta(**after_the_start)).isoformat()


BACKFILLS: dict[tuple[str, str], tuple[dict[str, float], dict[str, float], list[str]]] = {
    ("github", "issues"): ({"hours": 3}, {"hours": 5}, [f"r{name}-{hour}" for name in (0, 2, 3, 4) for hour in (3, 4)]),
    ("github", "pull_requests"): (
        *({"hours": 3}, {"hours": 5}),
        [f"r{name}-{hour}" for name in (0, 2, 3, 4) for hour in (3, 4)],
    ),
    ("stripe", "events"): ({"minutes": 1}, {"minutes": 3}, ["evt_5", "evt_4", "evt_3", "evt_2"]),
    ("hubspot", "contacts"): ({"minutes": 35}, {"minutes": 42}, [str(number) for number in range(300, 360)]),
    ("hubspot", "custom_objects"): ({"minutes": 35}, {"minutes": 42}, [str(number) for number in range(300, 360)]),
}
"""The window, and the records of it, in order."""


@pytest.mark.matrix(share=6)
@pytest.mark.parametrize(("preset", "stream"), BACKFILLS)
def test_a_window_of_the_past_comes_again_and_the_watermark_stays(
    pipeline: "Pipeline", api: RestStandIn, preset: str, stream: str
) -> None:
    since, until, expected = BACKFILLS[preset, stream]
    of_preset(pipeline, api, preset, stream, sync_mode="incremental").run()
    everything = rows(pipeline)
    assert set(expected) < set(everything)
    pipeline.run("--since", moment(**since), "--until", moment(**until))
    again = rows(pipeline)[len(everything) :]
    assert [each for each in again if each in expected] == expected
    assert again == expected
    assert "0 records" in pipeline.run().stdout


def test_a_preset_without_changes_refuses_a_window(pipeline: "Pipeline", api: RestStandIn) -> None:
    refused = of_preset(pipeline, api, "pokeapi", "pokemon").run("--since", "2024-05-01", expect=None)
    assert refused.returncode != 0
    assert "incremental" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert api.served == []


def rows(pipeline: "Pipeline") -> list[str]:
    return [line["source_record_id"] for line in pipeline.lines()]
