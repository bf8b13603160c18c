"""``bizon source new``: files at three places, a real run of what was created, and refusals."""

import json
import os
import sys
from pathlib import Path

import commands
import pytest
import yaml


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_files_go_to_the_current_folder(bizon, tmp_path):
    done = bizon("source", "new", "shop")
    assert done.exit_code == 0
    assert names(tmp_path) == ["shop.example.yml", "shop_source.py", "test_shop.py"]
    assert "created shop_source.py" in done.stdout


def test_a_folder_and_a_package_can_be_chosen(bizon, tmp_path):
    assert bizon("source", "new", "my-api", "--into", "new", "--package").exit_code == 0
    assert names(tmp_path / "new/bizon-my-api") == [
        "README.md",
        "config/my_api.example.yml",
        "pyproject.toml",
        "src/bizon_my_api/__init__.py",
        "src/bizon_my_api/config.py",
        "src/bizon_my_api/py.typed",
        "src/bizon_my_api/source.py",
        "tests/test_my_api.py",
    ]


def test_in_a_checkout_files_go_to_the_tree(bizon, tmp_path):
    (tmp_path / "bizon/connectors").mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "bizon"\n')
    assert bizon("source", "new", "shop").exit_code == 0
    assert names(tmp_path) == [
        "bizon/connectors/sources/shop/config/shop.example.yml",
        "bizon/connectors/sources/shop/src/__init__.py",
        "bizon/connectors/sources/shop/src/config.py",
        "bizon/connectors/sources/shop/src/source.py",
        "pyproject.toml",
        "tests/connectors/sources/shop/test_shop.py",
    ]


@pytest.mark.parametrize(
    ("style", "serving"), [("http", "test_shop.py  # serves"), ("rows", "test_shop.py .  # creates")]
)
def test_the_next_steps_bring_up_the_server_before_they_ask_it(bizon, style, serving):
    steps = bizon("source", "new", "shop", "--style", style).stdout.split("next:\n")[1]
    assert steps.index(f"  python {serving}") < steps.index("  bizon source test shop.example.yml")


def test_nothing_is_overwritten(bizon, tmp_path):
    (tmp_path / "shop_source.py").write_text("mine")
    done = bizon("source", "new", "shop")
    assert done.exit_code == 2
    assert "shop_source.py exists already, and nothing was written" in done.stderr
    assert names(tmp_path) == ["shop_source.py"]


@pytest.mark.parametrize(
    "arguments", [["a.b"], ["shop", "--style", "rows", "--paging", "link"], ["shop", "--into", "f"]]
)
def test_mistakes_exit_with_2_and_write_nothing(bizon, tmp_path, arguments):
    (tmp_path / "f").touch()
    assert bizon("source", "new", *arguments).exit_code == 2
    assert names(tmp_path) == ["f"]


def test_a_new_source_survives_a_kill_and_then_brings_only_changes(bizon, tmp_path):
    """The command, its example and its database; killed after each page."""
    bizon("source", "new", "shop", "--style", "rows", "--incremental", "time")
    done = commands.run([sys.executable, "test_shop.py", "."], capture_output=True, text=True, check=True)
    name, _, url = done.stdout.strip().removeprefix("export ").partition("=")
    config = yaml.safe_load((tmp_path / "shop.example.yml").read_text())
    config["source"] |= {"page_size": 2}
    config["destination"]["config"] |= {"buffer_size": 0}
    (tmp_path / "p.yml").write_text(yaml.safe_dump(config))
    source = (tmp_path / "shop_source.py").read_text()
    dying = source.replace(
        "        return SourceIteration(",
        "        __import__('os')._exit(9) if place else None\n        return SourceIteration(",
    )
    (tmp_path / "shop_source.py").write_text(dying)
    run = [sys.executable, "-m", "bizon", "run", "p.yml"]
    env = {**os.environ, name: url}
    assert commands.run(run, env=env, capture_output=True).returncode == 9

    (tmp_path / "shop_source.py").write_text(source)
    first = commands.run(run, env=env, capture_output=True, text=True)
    second = commands.run(run, env=env, capture_output=True, text=True)

    assert first.returncode == 0, first.stderr
    assert "0 records written" in second.stdout
    rows = [json.loads(line) for line in (tmp_path / "users.json").read_text().splitlines()]
    assert sorted(row["source_record_id"] for row in rows) == ["1", "2", "3", "4", "5"]
