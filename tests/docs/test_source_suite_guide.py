"""The section "Testing" of adding-sources.md: its test passes with the guide's source, its command prints verdicts."""

import pytest
import yaml
from docs.guide_code import module_with
from inner import passes

AT = "bizon/connectors/sources/myapi"


@pytest.fixture
def documented_test(package, source_guide) -> str:
    """The guide's source with incremental, and the guide's test of it."""
    package.write(f"{AT}/src/__init__.py", "")
    package.write(f"{AT}/src/source.py", module_with(source_guide, "Filtered"))
    package.write(f"{AT}/config/myapi.example.yml", source_guide.block("yaml", "cursor_field: updated_at"))
    return str(package.write("test_conformance.py", source_guide.block("python", "(SourceConformance)")))


def test_the_documented_test_passes_without_a_skip(package, documented_test):
    plugins = ("pytest_httpserver.pytest_plugin",)
    options = ("--import-mode=importlib", "-k", "TestMyApi")
    passes(*options, documented_test, cwd=package.work, plugins=plugins, PYTHONPATH=str(package.root))


def test_the_documented_command_prints_a_line_per_behaviour(package):
    block = {"name": "dummy", "stream": "plants", "authentication": {"type": "api_key", "params": {"token": "any"}}}
    config = {"name": "plants", "source": block, "destination": {"name": "logger"}}
    (package.work / "config.yml").write_text(yaml.safe_dump(config))
    assert "ok              paging ends\n" in package.bizon("source", "test", "config.yml")
