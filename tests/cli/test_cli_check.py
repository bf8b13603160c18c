"""``bizon check``: what was tried, the exit code, and no trace."""

import json

import pytest
import yaml


def write(config, **blocks):
    """Replace blocks of the pipeline, which reads the dummy source."""
    config.write_text(yaml.safe_dump({**yaml.safe_load(config.read_text()), **blocks}))


def file_at(path) -> dict[str, object]:
    return {"name": "file", "config": {"destination_id": str(path)}}


def test_both_ends_are_checked_and_nothing_is_written(bizon, config, tmp_path):
    write(config, destination=file_at(tmp_path / "new/deep/out"))
    done = bizon("check", config)
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        "ok      source       dummy.creatures",
        f"ok      destination  file {tmp_path}/new/deep/out",
        "ok      state        sqlite",
    ]
    assert list(tmp_path.iterdir()) == [config]


def test_an_unreachable_destination_fails_and_the_source_is_still_reported(bizon, config, tmp_path):
    (tmp_path / "taken").touch()
    write(config, destination=file_at(tmp_path / "taken/out"))
    done = bizon("check", config)
    assert done.exit_code == 1
    source, destination, _ = done.stdout.splitlines()
    assert source.startswith("ok ")
    assert destination.startswith(f"failed  destination  file {tmp_path}/taken/out: ")
    assert "is a file, not a folder" in destination


def test_a_source_that_refuses_fails_without_its_secret(bizon, config, tmp_path):
    (tmp_path / "own.py").write_text(
        "from bizon.connectors.sources.dummy.src.source import DummySource\n\n\n"
        "class Own(DummySource):\n"
        "    def check_connection(self):\n"
        "        raise OSError(f'401 for {self.config.authentication.params.token}')\n"
    )
    source = yaml.safe_load(config.read_text())["source"]
    write(config, source={**source, "source_file_path": "own.py"})
    done = bizon("check", config)
    assert done.exit_code == 1
    failed, ok, _ = done.stdout.splitlines()
    assert failed == "failed  source       dummy.creatures: check_connection failed: OSError: 401 for **********"
    assert ok == "ok      destination  logger"


def test_json_has_the_attempts(bizon, config):
    done = bizon("check", config, "--json")
    answer = json.loads(done.stdout)
    assert answer["ok"] is True
    assert [(each["part"], each["ok"], each["error"]) for each in answer["attempts"]] == [
        ("source", True, None),
        ("destination", True, None),
        ("state", True, None),
    ]


def test_the_location_of_dead_letters_is_checked(bizon, config, tmp_path):
    (tmp_path / "taken").touch()
    write(config, on_error="dead_letter", dead_letter_path=str(tmp_path / "taken/letters"))
    done = bizon("check", config)
    assert done.exit_code == 1
    _, destination, letters, state = done.stdout.splitlines()
    assert destination == "ok      destination  logger"
    assert letters.startswith(f"failed  dead letter  file {tmp_path}/taken/letters: ")
    assert "is a file, not a folder" in letters
    assert state.startswith("ok ")


def test_a_state_that_cannot_be_reached_fails(bizon, config):
    server = {"host": "127.0.0.1", "port": 1, "username": "me", "password": "5up3r-s3cret"}
    database = {**server, "database": "state", "schema": "bizon"}
    write(config, engine={"backend": {"type": "postgres", "config": database}})
    done = bizon("check", config)
    assert done.exit_code == 1
    state = done.stdout.splitlines()[-1]
    assert state.startswith("failed  state        postgres: ")
    assert "5up3r-s3cret" not in done.output


def test_a_wrong_configuration_exits_with_2(bizon, config):
    write(config, sourcee={})
    assert bizon("check", config).exit_code == 2


PATIENT = """
from bizon.common.errors.errors import DestinationConnectionError
from bizon.common.waiting import is_in_time
from bizon.destination.config import JsonRowsDetailsConfig
from bizon.destination.destination import AbstractDestination


class Patient(AbstractDestination):
    @staticmethod
    def get_config_class():
        return JsonRowsDetailsConfig

    def check_connection(self):
        raise DestinationConnectionError(f"waits for 1 s: {is_in_time(1)}, for 60 s: {is_in_time(60)}")

    def write_records(self, df_destination_records):
        return False, "never called"
"""


@pytest.mark.parametrize("command", ["check", "run"])
def test_a_destination_is_not_retried_for_minutes_before_the_first_page(bizon, config, tmp_path, command):
    """`bizon check` was silent for a quarter of an hour when the endpoint of an HTTP destination was down."""
    (tmp_path / "patient.py").write_text(PATIENT)
    settings = {"destination_file_path": "patient.py", "destination_id": "rows"}
    write(config, destination={"name": "custom", "config": settings})
    done = bizon(command, config)
    assert done.exit_code == 1
    assert "waits for 1 s: True, for 60 s: False" in done.output
