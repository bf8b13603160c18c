"""The shipped examples of brokers and of Postgres run; only the addresses of the servers are changed."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any
from uuid import uuid4

import pytest
import yaml
from kafka import delete_topics
from postgres import Place
from rabbitmq_server import Broker

EXAMPLES = Path(__file__).parents[3] / "examples"
At = Callable[[str], dict[str, Any]]


@pytest.fixture
def at_server(request: pytest.FixtureRequest) -> Iterator[At]:
    """The keys with the address of this server, and with the names that belong to this test."""
    with ExitStack() as until_the_end:

        def keys(server: str) -> dict[str, Any]:
            name = f"example-{uuid4().hex}"
            if server == "rabbitmq":
                broker: Broker = request.getfixturevalue("rabbitmq")
                until_the_end.callback(broker.delete, name)
                return {**broker._asdict(), "queue_name": name}
            if server == "kafka":
                url = request.getfixturevalue("kafka_url")
                until_the_end.callback(delete_topics, url, [name])
                return {"bootstrap_server": url, "topic": name}
            place: Place = request.getfixturevalue("postgres")
            return asdict(place)

        yield keys


@pytest.mark.lesson("F-45")
@pytest.mark.parametrize("server", ["rabbitmq", "kafka", "postgres"])
def test_the_example_runs(
    server: str, at_server: At, run_cli: Callable[..., CompletedProcess[str]], tmp_path: Path
) -> None:
    config = yaml.safe_load((EXAMPLES / f"{server}.example.yml").read_text(encoding="utf-8"))
    block = config["engine"]["backend"] if server == "postgres" else config["engine"]["queue"]
    details = block["config"] if server == "postgres" else block["config"]["queue"]
    details |= at_server(server)
    (tmp_path / "example.yml").write_text(yaml.safe_dump(config))
    done = run_cli("run", "example.yml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    output = tmp_path / f"{config['destination']['config']['destination_id']}.json"
    assert len([json.loads(line) for line in output.read_bytes().splitlines()]) == 5
