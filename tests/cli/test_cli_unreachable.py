"""A source whose host is unreachable: each line of what people see names the error once."""

import socket

import pytest
import yaml

SOURCE = """
from bizon.source.config import SourceConfig
from bizon.source.models import SourceIteration
from bizon.source.source import AbstractSource


class Far(AbstractSource):
    @staticmethod
    def streams():
        return ["users"]

    @staticmethod
    def get_config_class():
        return SourceConfig

    def get_authenticator(self):
        return None

    def check_connection(self):
        if self.config.name == "far_at_once":
            self.session.get("{url}/users")
        return True, None

    def get(self, pagination=None):
        self.session.get("{url}/users")
        return SourceIteration(records=[], next_pagination={{}})
"""


@pytest.mark.parametrize("name", ["far_at_once", "far_later"])
@pytest.mark.parametrize("command", ["check", "preview", "run"])
def test_the_error_is_named_once(bizon, config, tmp_path, command, name):
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
    (tmp_path / "far.py").write_text(SOURCE.format(url=url))
    source = {"name": name, "stream": "users", "source_file_path": "far.py", "http": {"retries": {"total": 0}}}
    config.write_text(yaml.safe_dump({**yaml.safe_load(config.read_text()), "source": source}))
    done = bizon(command, config)
    said = [line for line in f"{done.stdout}\n{done.stderr}".splitlines() if "ConnectionError" in line]
    assert bool(said) is not (command == "check" and name == "far_later")
    assert [line.count(" ConnectionError") for line in said] == [1] * len(said), said
