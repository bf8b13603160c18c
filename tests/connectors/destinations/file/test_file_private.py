"""Files below ``.bizon`` are this user's alone, links in it are not followed, and records choose no file outside."""

import json
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from connectors.destinations.file.file_runs import Job, bury, ids_in, rows_of

from bizon.common.errors.errors import BizonError, DestinationConnectionError, RowsRejectedError
from bizon.connectors.destinations.file.src import durable

FORMATS = pytest.mark.parametrize("format", ["json", "parquet"])
MODES = pytest.mark.parametrize("sync_mode", ["full_refresh", "incremental", "stream"])


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=["000", "022", "077"])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.fixture
def victim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file elsewhere, that stays as it is."""
    file = tmp_path_factory.mktemp("elsewhere") / "victim"
    file.write_text("precious")
    yield file
    assert file.read_text() == "precious"
    assert [path.name for path in file.parent.iterdir()] == ["victim"]


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def assert_private() -> None:
    hidden = Path(".bizon")
    for path in [hidden, *hidden.rglob("*")]:
        assert mode_of(path) == (0o700 if path.is_dir() else 0o600), path


@FORMATS
@MODES
def test_everything_below_the_hidden_folder_is_private(sync_mode: str, format: str, umask: int) -> None:
    job = Job(sync_mode=sync_mode, config={"format": format})
    destination = job.prepared()
    job.add(destination, 0, "0")
    job.write(destination, 1, 1, rows_of("1"))
    assert_private()
    job.add(job.prepared(), 1, "1")
    assert_private()
    job.publish(job.destination)
    assert_private()


@pytest.mark.parametrize("name", ["out", "out.dead_letters"])
@FORMATS
@MODES
def test_the_output_follows_the_umask(sync_mode: str, format: str, umask: int, name: str) -> None:
    job = Job(sync_mode=sync_mode, config={"format": format, "destination_id": name})
    assert Job(config={"format": format}).open().dead_letter_id == "out.dead_letters"
    job.run([["0"], ["1"]])
    main = Path(f"{name}.{format}")
    files = list(main.iterdir()) if main.is_dir() else [main]
    assert {mode_of(file) for file in files} == {0o666 & ~umask}


@pytest.mark.parametrize("sync_mode", ["full_refresh", "incremental", "stream"])
def test_the_permissions_of_an_output_outlive_runs_and_take_overs(sync_mode: str) -> None:
    Job("job0", sync_mode).run([["0"]])
    Path("out.json").chmod(0o640)
    job = Job("job1", sync_mode)
    job.add(job.prepared(), 0, "1")
    job.add(job.prepared(), 1, "2")
    job.publish(job.destination)
    assert mode_of(Path("out.json")) == 0o640


def test_a_hidden_folder_of_an_older_release_becomes_private() -> None:
    Path(".bizon/out.json").mkdir(parents=True)
    for folder in (Path(".bizon"), Path(".bizon/out.json")):
        folder.chmod(0o777)
    Job().run([["0"]])
    assert_private()


@pytest.mark.parametrize("place", [".bizon", ".bizon/out.json"])
@MODES
def test_a_hidden_folder_that_is_a_link_is_refused(sync_mode: str, place: str, victim: Path) -> None:
    Path(place).parent.mkdir(exist_ok=True)
    Path(place).symlink_to(victim.parent)
    with pytest.raises(DestinationConnectionError, match=r"is a link to one: remove it"):
        Job(sync_mode=sync_mode).prepared()


@MODES
def test_a_hidden_folder_of_another_user_is_refused(sync_mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".bizon").mkdir()
    owner = Path(".bizon").stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(DestinationConnectionError, match=rf"belongs to user {owner}, .*: remove it"):
        Job(sync_mode=sync_mode).prepared()


def plant(name: str) -> Callable[[Path], None]:
    def planted(victim: Path) -> None:
        path = Path(".bizon/out.json") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.symlink_to(victim)

    return planted


@pytest.mark.parametrize("name", ["lock", "journal", "owner.json", "manifest.json", "tables-x.json"])
@MODES
def test_a_link_in_the_place_of_a_file_of_bizons_is_not_written_through(
    sync_mode: str, name: str, victim: Path
) -> None:
    Job("job0", sync_mode).run([["0"]]).close()
    before = ids_in(Path("out.json"))
    plant(name)(victim)
    job = Job("job1", sync_mode)
    try:
        job.run([["1"]])
    except (BizonError, AssertionError):
        assert ids_in(Path("out.json")) == before
    else:
        assert ids_in(Path("out.json"))[-1] == "1"


@pytest.mark.parametrize("name", ["000001.json", "0000000000-0000000000-1-1.parquet", "ready-000001.json"])
def test_a_link_in_staging_is_not_followed(name: str, victim: Path) -> None:
    job = Job(config={"format": name.rpartition(".")[2]})
    destination = job.prepared()
    folder = destination._staging.folder
    folder.mkdir(mode=0o700)
    (folder / name).symlink_to(victim)
    if job.write(destination, 0, 0, rows_of("0")) == (True, None):
        job.commit(0, 1)
        job.publish(destination)
        assert ids_in(Path(f"out.{job.config['format']}")) == ["0"]


@pytest.mark.parametrize("sync_mode", ["full_refresh", "stream"])
@FORMATS
def test_a_link_under_a_temporary_name_is_not_followed(
    sync_mode: str, format: str, victim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such a name cannot be guessed; a correct guess is refused."""
    job = Job(sync_mode=sync_mode, config={"format": format})
    Job("job0", sync_mode, config={"format": format}).run([["0"]])
    bury()
    real = durable.temporary_beside

    def planted(path: Path) -> Path:
        found = real(path)
        found.symlink_to(victim)
        return found

    for module in ("durable", "streaming", "journal"):
        monkeypatch.setattr(f"bizon.connectors.destinations.file.src.{module}.temporary_beside", planted)
    with pytest.raises(BizonError, match="File exists"):
        job.run([["1"]])
    assert ids_in(Path(f"out.{format}")) == ["0"]


class TestDestinationIdOfARecord:
    """In sync mode stream a record says where it goes: to files in the folder of the configured one and below."""

    def job(self, format: str = "json") -> Job:
        Path("data").mkdir(exist_ok=True)
        return Job(sync_mode="stream", config={"destination_id": "data/out", "format": format})

    def refused(self, job: Job, table: str) -> RowsRejectedError:
        destination = job.prepared()
        job.add(destination, 0, "good")
        destination.destination_id, destination.batch = table, destination.batch
        with pytest.raises(RowsRejectedError) as error:
            destination.write_records(rows_of("a", "b"))
        assert set(error.value.reasons) == {0, 1}
        assert all(f"destination_id {table!r}" in reason for reason in error.value.reasons.values())
        assert ids_in(Path(f"data/out.{job.config['format']}")) == ["good"]
        job.add(destination, 1, "after")
        assert ids_in(Path(f"data/out.{job.config['format']}"))[-1] == "after"
        return error.value

    @FORMATS
    @pytest.mark.parametrize(
        "table",
        [
            *("../x", "data/../../x", "/tmp/bizon-no-such-file", "x", "data/link/x"),
            *("", "data/", "data/a/..", "data/nul\0"),
            *("data/.bizon/out/x", "data/.bizon/x", "data/a/.bizon/x"),
        ],
    )
    def test_an_id_that_leads_elsewhere_is_refused_by_name(self, table: str, format: str, victim: Path) -> None:
        job = self.job(format)
        Path("data/link").symlink_to(victim.parent)
        self.refused(job, table)
        left = sorted(path.name for path in Path().iterdir())
        assert left == ["data"]
        assert not Path("/tmp/bizon-no-such-file.json").exists()

    def test_a_link_of_the_name_itself_is_refused_too(self, victim: Path) -> None:
        job = self.job()
        Path("data/linked.json").symlink_to(victim)
        self.refused(job, "data/linked")

    def test_the_file_of_another_pipeline_is_refused(self) -> None:
        Job("job0", pipeline="first", config={"destination_id": "data/a"}).run([["1"]])
        assert "'first'" in str(self.refused(self.job(), "data/a"))
        assert ids_in(Path("data/a.json")) == ["1"]

    def test_a_file_that_bizon_did_not_write_is_refused(self) -> None:
        job = self.job()
        Path("data/theirs.json").write_text(json.dumps({"source_record_id": "theirs"}) + "\n")
        assert "bizon did not write it" in str(self.refused(job, "data/theirs"))
        assert ids_in(Path("data/theirs.json")) == ["theirs"]

    def test_files_next_to_the_configured_one_and_below_are_written(self) -> None:
        job = self.job()
        destination = job.prepared()
        for table in ("data/a", "data/deep/er/b", "data/c..d"):
            assert job.write(destination, 0, 0, rows_of("0"), table) == (True, None)
            assert ids_in(Path(f"{table}.json")) == ["0"]
