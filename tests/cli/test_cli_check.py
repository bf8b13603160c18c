"""``bizon check``: what was tried, the exit code, and no trace."""

import json

import yaml


def write(config, **blocks):
    """Replace blocks of the pipeline, which reads the dummy source."""
    config.write_text(yaml.safe_dump({**yaml.safe_load(config.read_text()), **blocks}))


def file_at(path) -> dict[str, object]:
    return {"name": "file", "config": {"destination_id": str(path)}}


def test_both_ends_are_tried_and_nothing_is_written(bizon, config, tmp_path):
    write(config, destination=file_at(tmp_path / "new/deep/out"))
    done = bizon("check", config)
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        "ok      source       dummy.creatures",
        f"ok      destination  file {tmp_path}/new/deep/out",
        "ok      state        sqlite",
    ]
    assert list(tmp_path.iterdir()) == [config]


def test_a_destination_that_is_out_of_reach_fails_and_the_source_is_still_reported(bizon, config, tmp_path):
    (tmp_path / "taken").touch()
    write(config, destination=file_at(tmp_path / "taken/out"))
    done = bizon("check", config)
    assert done.exit_code == 1
    source, destination, _ = done.stdout.splitlines()
    assert source.startswith("ok ")
    assert destination.startswith(f"failed  destination  file {tmp_path}/taken/out: ")
    assert "is a file, not a folder" in destination


def test_a_refusing_source_fails_without_its_secret(bizon, config, tmp_path):
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


def test_the_place_of_dead_letters_is_tried(bizon, config, tmp_path):
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
