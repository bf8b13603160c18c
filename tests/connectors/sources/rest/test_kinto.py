"""The source ``rest`` on Kinto, through the real command: paging by a URL in a header, changes, and tombstones."""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from connectors.sources.rest import real_servers
from connectors.sources.rest.real_servers import PASSWORD, USER, Collection, reading, run
from e2e.conftest import Pipeline

pytestmark = pytest.mark.matrix(share=6, pool="real servers")


@pytest.fixture
def kinto(tmp_path: Path) -> Iterator[Collection]:
    with real_servers.kinto(tmp_path) as collection:
        yield collection


@pytest.fixture
def of_kinto(pipeline: Pipeline, kinto: Collection) -> Pipeline:
    """A pipeline of 25 items, ten on a page."""
    for number in range(25):
        kinto.put(f"item-{number:02}", name=f"item {number}", price=number * 1.25)
    limits = {"since": {"param": "_since", "format": "epoch_ms"}, "until": {"param": "_before", "format": "epoch_ms"}}
    endpoint = {
        "path": "/records",
        "params": {"_limit": 10, "_sort": "id"},
        "records": "data",
        "timestamp": "last_modified",
        "deleted": "deleted == `true`",
        "pages": {"type": "link_header", "header": "Next-Page"},
        "incremental": {"cursor_field": "last_modified", "cursor_format": "epoch_ms", **limits},
    }
    account = {"type": "basic", "params": {"username": USER, "password": PASSWORD}}
    return reading(pipeline, kinto.url, endpoint, authentication=account)


ITEMS = [f"item-{number:02}" for number in range(25)]
CHANGED = {"item-03": "changed", "item-99": "new", **dict.fromkeys(ITEMS[10:24])}
"""The names of the records of an increment; None for a tombstone."""


def change_kinto(kinto: Collection) -> None:
    kinto.put("item-03", name="changed", price=2)
    kinto.put("item-99", name="new", price=3)
    for id_, name in CHANGED.items():
        if name is None:
            kinto.delete(id_)


def test_kinto(of_kinto: Pipeline, kinto: Collection) -> None:
    """The next page is a URL in the header ``Next-Page``; ``_since`` finds what changed, and the tombstones of what was
    deleted. The log of the server has the requests."""
    found = run(of_kinto)
    assert [each["id"] for each in found] == ITEMS
    assert [each["price"] for each in found] == [number * 1.25 for number in range(25)]
    assert ["_token" in asked for asked in kinto.lists()] == [False, True, True]
    assert run(of_kinto) == []
    change_kinto(kinto)
    before = len(kinto.lists())
    changed = {each["id"]: each for each in run(of_kinto)}
    assert {id_: each.get("name") for id_, each in changed.items()} == CHANGED
    assert {id_ for id_, each in changed.items() if each.get("_deleted")} == set(ITEMS[10:24])
    check, *pages = kinto.lists()[before:]
    assert "_since" not in check
    assert [("_since" in asked, "_before" in asked, "_token" in asked) for asked in pages] == [
        (True, True, False),
        (True, True, True),
    ]
    assert len({asked["_since"] for asked in pages}) == 1
    assert run(of_kinto) == []
    assert PASSWORD not in (of_kinto.folder / "state.sqlite3").read_bytes().decode("latin-1")


def test_tombstones_of_kinto_remove_their_rows_from_a_table(of_kinto: Pipeline, kinto: Collection) -> None:
    merge = {"write_mode": "merge", "primary_key": ["id"], "version": "last_modified"}
    deletes = {"deletes": "remove", "deleted_field": "_deleted"}
    of_kinto.set("destination", {"name": "duckdb", "config": {"database": "out.duckdb", **merge, **deletes}})
    of_kinto.run()
    assert ids_in_duckdb(of_kinto) == ITEMS
    change_kinto(kinto)
    of_kinto.run()
    assert ids_in_duckdb(of_kinto) == [*ITEMS[:10], "item-24", "item-99"]
    kinto.put("item-10", name="again", price=4)
    of_kinto.run()
    assert ids_in_duckdb(of_kinto) == [*ITEMS[:11], "item-24", "item-99"]


def ids_in_duckdb(pipeline: Pipeline) -> list[str]:
    with duckdb.connect(pipeline.folder / "out.duckdb", read_only=True) as database:
        return [id_ for (id_,) in database.execute("SELECT id FROM rest_items ORDER BY id").fetchall()]
