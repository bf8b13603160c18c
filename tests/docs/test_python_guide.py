"""The guide to bizon as a library, executed block by block."""

import re
from pathlib import Path

import pytest

from bizon.common.secret import registry

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/guides/python.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=["a pipeline", "a source", "records"])
def test_the_code_of_the_guide_runs(block: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(block, "guide.py", "exec"), {"__name__": "guide"})
    shown = capsys.readouterr().out
    if "records_frame" in block:
        assert "age" in shown
    else:
        assert list(tmp_path.glob("*.json"))


def test_the_learned_secrets_example_of_the_security_page_runs() -> None:
    page = (ROOT / "docs/security.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(block, {"answer": {"session_token": "Session-11-Token"}})
    assert "Session-11-Token" in registry.learned()
    registry.forget()
