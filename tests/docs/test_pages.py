"""Everything that the pages name exists: commands, options, targets, paths, links. Their YAML is valid."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from bizon.common.errors.errors import ConfigError, ExitCode
from bizon.common.models import DESTINATIONS
from bizon.destination.config import DestinationTypes
from bizon.engine.engine import load_config
from bizon.source.discover import list_sources, load_source

ROOT = Path(__file__).parents[2]
SHELL = ("bash", "sh", "console")
GUIDE_NAMES = ("myapi", "mydest", "my_source.py")  # made by the guides, and by nobody else
TOP_LEVEL = ("bizon/", "docs/", "examples/", "tests/", ".claude/", ".ci/", ".github/")


def commands_in(page):
    """Every command line of the page's shell blocks, comments and continuations resolved."""
    for language in SHELL:
        for block in page.blocks(language):
            for line in block.replace("\\\n", " ").splitlines():
                words = shlex.split(line.removeprefix("$ "), comments=True)
                if words:
                    yield words


def test_every_bizon_command_exists_with_its_options(pages, reference):
    known = dict(reference.commands())
    whole = {option for param in reference.typer.main.get_command(reference.cli).params for option in param.opts}
    whole.add("--help")
    seen, wrong = set(), []
    for page in pages:
        inline = [shlex.split(text) for text in re.findall(r"`(bizon [^`]+)`", page.prose)]
        for words in [*commands_in(page), *inline]:
            if words[0] != "bizon" or words[1:2] in (["COMMAND"], *([option] for option in whole)):
                continue
            name = next((name for name in known if words[: name.count(" ") + 1] == name.split()), None)
            if name is None:
                wrong.append(f"{page.name}: there is no command: {' '.join(words)}")
                continue
            seen.add(name)
            options = {option for param in known[name].params for option in param.opts} | {"--help"}
            used = [word.partition("=")[0] for word in words if word.startswith("--")]
            wrong += [f"{page.name}: {name} has no option {option}" for option in used if option not in options]
    assert not wrong, "\n".join(wrong)
    assert seen == set(known), "a command that no page shows"


def test_every_option_named_in_the_readme_exists(pages, reference):
    known = {option for _, command in reference.commands() for param in command.params for option in param.opts}
    readme = pages[0]
    assert readme.name == "README.md"
    named = set(re.findall(r"`(--[a-z-]+)`", readme.prose))
    assert named
    assert named <= known


def test_every_make_target_exists(pages):
    targets = set(re.findall(r"^([a-z-]+):(?!=)", (ROOT / "Makefile").read_text(), re.MULTILINE))
    wrong = []
    for page in pages:
        inline = [text.split() for text in re.findall(r"`(make [^`]+)`", page.prose)]
        for words in [*commands_in(page), *inline]:
            if words[0] == "make":
                used = [word for word in words[1:] if "=" not in word and not word.startswith("-")]
                wrong += [f"{page.name}: there is no target {word}" for word in used if word not in targets]
    assert not wrong, "\n".join(wrong)


def test_the_readme_shows_the_two_commands_of_a_newcomer(pages):
    first = pages[0].blocks("bash")[0]
    assert [line.partition("#")[0].strip() for line in first.splitlines()] == ["make run", "make test"]


def test_every_path_exists(pages):
    wrong = []
    for page in pages:
        for text in re.findall(r"`([^`\s]+)`", page.prose):
            path = text.removesuffix(":").partition("::")[0]
            if not path.startswith(TOP_LEVEL) or any(name in path for name in (*GUIDE_NAMES, "NAME")):
                continue
            found = list(ROOT.glob(_without_braces(path))) if any(sign in path for sign in "*{") else [ROOT / path]
            if not any(file.exists() for file in found):
                wrong.append(f"{page.name}: {text}")
    assert not wrong, "\n".join(wrong)


def _without_braces(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "*", path)


def test_every_link_leads_somewhere(pages):
    wrong = []
    for page in pages:
        for target in re.findall(r"\]\(([^)\s]+)\)", page.prose):
            if "://" in target:
                continue
            file, _, anchor = target.partition("#")
            linked = (page.path.parent / file) if file else page.path
            if not linked.exists():
                wrong.append(f"{page.name}: {target}")
            elif anchor and anchor not in _anchors(linked):
                wrong.append(f"{page.name}: {target}: there is no such heading")
    assert not wrong, "\n".join(wrong)


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _of_bizon(blocks: list[str]) -> list[str]:
    """The blocks without Kubernetes manifests, which ``test_deployment_page.py`` reads, and without templates, which
    the tests of their guides fill."""
    return [block for block in blocks if not block.startswith("apiVersion:") and "{{" not in block]


@pytest.mark.lesson("F-45")
def test_every_pipeline_on_a_page_is_valid(pages, tmp_path, monkeypatch):
    """Most of the documented configurations used to be invalid. The tests of the guides run theirs."""
    monkeypatch.setenv("MYAPI_URL", "http://localhost")
    monkeypatch.setenv("BIZON_ENV_MYAPI_TOKEN", "t")
    for name in (
        "BIZON_ENV_PG_PASSWORD",
        "BIZON_ENV_ACCESS_KEY_ID",
        "BIZON_ENV_SECRET_ACCESS_KEY",
        "BIZON_ENV_API_TOKEN",
    ):
        monkeypatch.setenv(name, "p@ss/w:rd")
    checked, wrong = 0, []
    for page in pages:
        for block in _of_bizon(page.blocks("yaml")):
            document = yaml.safe_load(block)
            assert isinstance(document, dict | list), f"{page.name}: {block}"
            if not isinstance(document, dict) or not {"name", "source", "destination"} <= set(document):
                continue
            if document["source"]["name"] in GUIDE_NAMES or document["destination"]["name"] in GUIDE_NAMES:
                continue
            file = tmp_path / "block.yml"
            file.write_text(block, encoding="utf-8")
            try:
                load_config(file)
            except ConfigError as error:
                wrong.append(f"{page.name}: {error}")
            checked += 1
    assert not wrong, "\n".join(wrong)
    assert checked


@pytest.mark.lesson("F-45")
def test_partial_blocks_are_valid_where_they_stand(pages, tmp_path, monkeypatch):
    """A block with some of the top-level keys is valid once the others are added."""
    for name in ("PG_PASSWORD", "MQ_PASSWORD"):
        monkeypatch.setenv(f"BIZON_ENV_{name}", "p")
    rest = {
        "name": "n",
        "source": {
            "name": "dummy",
            "stream": "plants",
            "authentication": {"type": "api_key", "params": {"token": "t"}},
        },
        "destination": {"name": "logger"},
    }
    file = tmp_path / "block.yml"
    wrong = []
    for page in pages:
        for block in _of_bizon(page.blocks("yaml")):
            document = yaml.safe_load(block)
            if not isinstance(document, dict) or {"name", "source", "destination"} <= set(document):
                continue
            if document.get("source", {}).get("name") in GUIDE_NAMES:
                continue
            file.write_text(yaml.safe_dump({**rest, **document}), encoding="utf-8")
            try:
                load_config(file)
            except ConfigError as error:
                wrong.append(f"{page.name}: {error}")
    assert not wrong, "\n".join(wrong)


def test_the_first_pipeline_of_the_readme_is_the_quickstart(pages):
    assert (ROOT / "examples/quickstart.yml").read_text() in pages[0].blocks("yaml")


def test_the_python_of_the_readme_runs(pages, tmp_path):
    quickstart = tmp_path / "examples/quickstart.yml"
    quickstart.parent.mkdir()
    quickstart.write_text((ROOT / "examples/quickstart.yml").read_text())
    (code,) = pages[0].blocks("python")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "Pipeline finished with status Success (Producer: success, Consumer: success) 5\n"


def test_the_readme_lists_every_exit_code(pages):
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", pages[0].text, re.MULTILINE)}
    assert listed == {code.value for code in ExitCode}


def test_the_readme_stays_short(pages):
    assert pages[0].text.count("\n") < 200


def test_the_config_reference_is_current(reference):
    """Remedy: python tests/docs/reference.py --write"""
    assert reference.CONFIG_PAGE.read_text(encoding="utf-8") == reference.render_config_reference()


def test_the_cli_reference_is_current(reference):
    """Remedy: python tests/docs/reference.py --write"""
    assert reference.CLI_PAGE.read_text(encoding="utf-8") == reference.render_cli_reference()


def test_every_key_of_the_config_is_in_the_reference_with_a_meaning(reference):
    rows = [line for line in reference.render_config_reference().splitlines() if line.startswith("| `")]
    assert len(rows) > 200
    assert [row for row in rows if row.split(" | ")[-1].strip(" |") == ""] == []


@pytest.mark.lesson("F-45")
def test_every_key_of_every_block_is_in_the_reference(reference):
    """Fourteen keys of the BigQuery destinations, some of them required, were missing: the keys of the base class."""
    text = reference.render_config_reference()
    sections = {title: set(re.findall(r"^\| `(\w+)` \|", body, re.MULTILINE)) for title, body in _sections(text)}
    shared = {"destination.config": sections["destination.config"], "source": sections["source"]}
    blocks = [(f"destination.config (name: {name})", model, "destination.config") for name, model in _destinations()]
    blocks += [
        (f"source (name: {name})", load_source(name).get_config_class(), "source")
        for name in {info.name for info in list_sources()}
    ]
    for title, model, base in blocks:
        keys = {field.alias or name for name, field in model.model_fields.items()}
        assert keys - shared[base] - sections[title] == set(), title


def _sections(text: str) -> list[tuple[str, str]]:
    parts = re.split(r"^#{2,3} `?(.*?)`?$", text, flags=re.MULTILINE)[1:]
    return list(zip(parts[::2], parts[1::2], strict=True))


def _destinations():
    for name, config in DESTINATIONS.all().items():
        if name != DestinationTypes.CUSTOM:
            yield name, config.model_fields["config"].annotation
