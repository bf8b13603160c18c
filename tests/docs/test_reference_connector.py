"""The page of the reference connector shows the code that runs."""

import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent


@pytest.fixture
def connector(monkeypatch):
    """The module that renders the page."""
    monkeypatch.syspath_prepend(str(FOLDER))
    for name in ("reference_connector", "reference_connector_notes"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import reference_connector

    return reference_connector


def test_the_page_is_current(connector) -> None:
    """Remedy: python tests/docs/reference_connector.py --write"""
    assert connector.PAGE.read_text(encoding="utf-8") == connector.render()


def test_every_file_of_the_source_is_shown_or_named(connector) -> None:
    files = {str(path.relative_to(connector.SOURCE)) for path in connector.SOURCE.glob("src/*.py")} - {
        "src/__init__.py"
    }
    assert files == {path for path in {**connector.FILES, **connector.OTHER_FILES} if path.startswith("src/")}


def test_every_line_of_a_file_is_shown(connector) -> None:
    for path, (_, notes) in connector.FILES.items():
        shown = [line for _, code in connector.parts_of(path, notes) for line in code.splitlines() if line]
        whole = (connector.SOURCE / path).read_text(encoding="utf-8").splitlines()
        assert shown == [line for line in whole if line], path


def test_a_note_about_code_that_is_gone_is_an_error(connector) -> None:
    with pytest.raises(LookupError, match="gone"):
        list(connector.parts_of("src/pace.py", {"": "x", "gone": "y"}))
