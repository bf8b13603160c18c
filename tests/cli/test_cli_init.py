"""``bizon init``: every pipeline that it writes validates, and no file is lost."""

import pytest
import yaml

from bizon.cli.commands import beginning
from bizon.engine.engine import load_config_dict
from bizon.scaffold.first_pipeline import destination_names, pipeline, source_names, streams_of

VARIABLES = {"BIZON_ENV_DATABASE_URL": "postgresql://u:p@localhost/shop"}


@pytest.mark.parametrize("source", source_names())
def test_every_source_and_destination_make_a_pipeline_that_validates(monkeypatch, source):
    for destination in destination_names():
        text = pipeline(source, None, destination)
        for line in text.splitlines():
            if line.startswith("# Set BIZON_ENV_"):
                monkeypatch.setenv(line.split()[2], VARIABLES.get(line.split()[2], "any text"))
        loaded = load_config_dict(yaml.safe_load(text))
        assert loaded.config.destination.name == destination
        assert text.startswith("# yaml-language-server: $schema=")


def test_the_presets_of_rest_are_among_the_sources():
    assert {"dummy", "rest", "sql", "files", "github", "hubspot"} <= set(source_names())


@pytest.mark.parametrize("source", source_names())
def test_each_stream_to_choose_from_validates(monkeypatch, source):
    for stream in streams_of(source):
        monkeypatch.setenv("BIZON_ENV_DATABASE_URL", VARIABLES["BIZON_ENV_DATABASE_URL"])
        text = pipeline(source, stream, "logger")
        for line in text.splitlines():
            if line.startswith("# Set BIZON_ENV_"):
                monkeypatch.setenv(line.split()[2], VARIABLES.get(line.split()[2], "any text"))
        assert load_config_dict(yaml.safe_load(text)).config.source.stream == stream


def test_a_script_needs_no_answers_and_the_file_runs(run_cli, tmp_path):
    done = run_cli("init", "--output", "first.yml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "bizon config validate first.yml" in done.stderr
    assert run_cli("run", "first.yml", cwd=tmp_path).returncode == 0
    assert (tmp_path / "data" / "creatures.json").exists()


def test_a_terminal_is_asked_for_source_stream_and_destination(bizon, monkeypatch):
    answers = iter(["github", "issues", "duckdb"])
    asked = []

    def prompt(text, default, err):
        asked.append((text.partition(" ")[0], default, err))
        return next(answers)

    monkeypatch.setattr("typer.prompt", prompt)
    monkeypatch.setattr(beginning, "is_a_terminal", lambda: True)
    done = bizon("init")
    assert [name for name, _, _ in asked] == ["Source", "Stream", "Destination"]
    assert all(err for _, _, err in asked)
    assert "preset: github" in done.stdout
    assert "stream: issues" in done.stdout
    assert "name: duckdb" in done.stdout


def test_a_file_that_exists_needs_force(bizon, tmp_path):
    (tmp_path / "mine.yml").write_text("mine")
    refused = bizon("init", "--output", "mine.yml")
    assert refused.exit_code == 2
    assert "mine.yml: exists already, and nothing was written" in refused.stderr
    assert (tmp_path / "mine.yml").read_text() == "mine"
    assert bizon("init", "--output", "mine.yml", "--force").exit_code == 0
    assert (tmp_path / "mine.yml").read_text().startswith("# yaml-language-server")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--source", "githup"], "--source githup: no such source; allowed: "),
        (["--destination", "nowhere"], "--destination nowhere: no such destination; allowed: "),
        (["--source", "github", "--stream", "nothing"], "--stream nothing: no such stream; allowed: repositories, "),
    ],
)
def test_an_unknown_name_is_one_line(bizon, options, says):
    done = bizon("init", *options)
    assert done.exit_code == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"Error: {says}")
    assert len(done.stderr.splitlines()) == 1
