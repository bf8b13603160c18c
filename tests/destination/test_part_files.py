"""The kit for part files: names of tables that a record or a configuration gives, and the store of the template."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bizon.common.errors.errors import ConfigError, RowsRejectedError
from bizon.destination.config import AbstractDestinationConfig
from bizon.destination.discover import OutsideDestinationConfig, load_custom_destination
from bizon.scaffold.destination import Style, destination_files
from bizon.scaffold.files import Place, write_files
from bizon.scaffold.names import names_of
from bizon.testing.destination import FULL_REFRESH, STREAM, DestinationConformance
from bizon.testing.destination_jobs import Job, records

ELSEWHERE = ["../x", "..", "../../x/y", "a/../../x", "a/b", "{folder}/x", "\\x", "..\\x", "C:x", ".", ".x"]
NO_TABLES = ["", "x\0", "x\ny", "x.manifest.json", "x.Manifest.JSON", "\u00fc" * 101]


@pytest.fixture
def config(tmp_path: Path) -> AbstractDestinationConfig:
    """The destination of the template, in the folder ``rows``."""
    write_files(tmp_path, destination_files(names_of("ledger"), Style.FILES, Place.FILE))
    settings = {"folder": str(tmp_path / "rows"), "destination_id": "items"}
    settings["destination_file_path"] = str(tmp_path / "ledger_destination.py")
    return OutsideDestinationConfig(name="custom", config=settings)


@pytest.fixture
def pipeline(config: AbstractDestinationConfig) -> Iterator[Any]:
    yield from DestinationConformance.pipeline.__wrapped__(DestinationConformance(), config)  # type: ignore[attr-defined]


@pytest.fixture
def store(config: Any, tmp_path: Path) -> Any:
    """The store of the template."""
    module = sys.modules[load_custom_destination(config.config.destination_file_path).__module__]
    (tmp_path / "rows").mkdir()
    return module.FolderStore(tmp_path / "rows")


def everything(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


@pytest.mark.parametrize("name", ELSEWHERE + NO_TABLES)
def test_a_record_names_no_place_but_a_table(pipeline: Any, tmp_path: Path, name: str) -> None:
    """Its rows were written outside of the folder."""
    job: Job = pipeline(STREAM).job()
    job.start()
    rows, there = job.write(0, records("a", "b")), everything(tmp_path.parent)
    job.destination.destination_id = name.format(folder=tmp_path)
    with pytest.raises(RowsRejectedError, match="cannot name a table: a name has 1 to 200 bytes") as refused:
        job.destination.write_records(rows)
    assert set(refused.value.reasons) == {0, 1}
    assert everything(tmp_path.parent) == there


@pytest.mark.parametrize("name", ["x", "x y", "orders-2026.v1", "\u00fc" * 100, "x..y", "manifest.json"])
def test_a_record_may_name_any_other_table(pipeline: Any, tmp_path: Path, name: str) -> None:
    job: Job = pipeline(STREAM).job()
    job.start()
    job.write(0, records("a"), table=name)
    assert (tmp_path / "rows" / f"{name}.manifest.json").is_file()


def test_rows_that_name_a_table_whose_manifest_is_another_file_are_refused_alone(pipeline: Any, tmp_path: Path) -> None:
    job: Job = pipeline(STREAM).job()
    job.start()
    (tmp_path / "rows" / "site.manifest.json").write_text('{"start_url": "/"}')
    with pytest.raises(RowsRejectedError, match=r"'site.manifest.json' is not a manifest that bizon wrote"):
        job.write(0, records("a"), table="site")
    job.commit(0, records("b"))
    assert (tmp_path / "rows" / "site.manifest.json").read_text() == '{"start_url": "/"}'


@pytest.mark.parametrize("name", [name for name in ELSEWHERE + NO_TABLES if name])
@pytest.mark.parametrize("mode", [FULL_REFRESH, STREAM])
def test_a_configured_table_without_a_plain_name_is_refused_before_anything_is_fetched(
    pipeline: Any, name: str, mode: Any
) -> None:
    with pytest.raises(ConfigError, match=r"cannot name a table.*; set another one") as no:
        pipeline(mode, name).open("a run").check_connection()
    assert no.value.key == ("destination", "config", "destination_id")


@pytest.mark.parametrize("name", ["../x", "a/../../x", "{folder}/x", "link/x"])
def test_the_store_of_the_template_keeps_to_its_folder(store: Any, tmp_path: Path, name: str) -> None:
    (store.folder / "link").symlink_to(tmp_path)
    outside = tmp_path / "x"
    outside.write_text("theirs")
    name = name.format(folder=tmp_path)
    for use in (
        store.read,
        store.delete,
        lambda each: store.write(each, b""),
        lambda each: store.replace(each, None, b""),
    ):
        with pytest.raises(ValueError, match="is not below"):
            use(name)
    assert outside.read_text() == "theirs"


def test_the_folder_of_the_store_may_be_a_link(store: Any, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(store.folder)
    linked = type(store)(tmp_path / "link")
    linked.write("items/1", b"rows")
    assert list(linked.names("items/")) == ["items/1"]
    assert store.read("items/1") == b"rows"
