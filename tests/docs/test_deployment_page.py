"""The deployment page and the compose file agree with the code."""

import re
from pathlib import Path

import yaml
from typer.testing import CliRunner

from bizon.cli.main import cli
from bizon.common.errors.errors import ExitCode
from bizon.engine.config import EngineConfig

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_table_has_every_exit_code() -> None:
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)] == [code.value for code in ExitCode]


def test_the_configuration_of_both_roles_is_valid() -> None:
    (block,) = (block for block in blocks("yaml") if block.startswith("engine:"))
    engine = EngineConfig.model_validate(yaml.safe_load(block)["engine"])
    assert engine.queue.is_broker


def test_every_command_is_one_the_command_line_knows() -> None:
    manifests = [manifest for block in blocks("yaml") for manifest in yaml.safe_load_all(block)]
    found = re.findall(r"bizon (run|status) [\w./]+((?: --[\w-]+(?: \w+)?)*)", PAGE)
    for manifest in manifests:
        found += [("run", " ".join(map(str, arguments[3:]))) for arguments in _arguments(manifest)]
    assert len(found) > 8
    for command, flags in found:
        help_text = CliRunner().invoke(cli, [command, "--help"]).output
        for flag, value in re.findall(r"(--[\w-]+)(?: (\w+))?", flags):
            assert flag in help_text
            assert not value or value in help_text


def _arguments(node: object) -> list[list[str]]:
    if isinstance(node, dict):
        return [node["args"]] if "args" in node else [each for value in node.values() for each in _arguments(value)]
    return [each for item in node for each in _arguments(item)] if isinstance(node, list) else []


def test_the_servers_of_the_compose_file_listen_on_this_machine_only() -> None:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    assert set(services) == {"postgres", "rabbitmq", "redpanda"}
    assert all(port.startswith("127.0.0.1:") for service in services.values() for port in service["ports"])
