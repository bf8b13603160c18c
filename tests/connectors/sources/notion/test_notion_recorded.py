"""The Notion source through the real command: its exchange recorded and replayed, and a window of the past."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import commands
import pytest
import yaml
from connectors.sources.notion.conftest import TOKEN
from standins.notion.content import LONG_AGO, Workspace

if TYPE_CHECKING:
    from standins.notion.server import NotionStandIn

pytestmark = pytest.mark.matrix(share=6, pool="notion by the command")


@pytest.fixture
def inputs(workspace: Workspace) -> dict[str, Any]:
    """A database with a row for each of five hours, and two blocks in each row."""
    database = workspace.add_database("Tasks")
    for number in range(5):
        row = workspace.add_page(f"row {number}", database=database)
        for each in (row, *workspace.add_tree(row, "paragraph", [2])):
            workspace.edit(each, LONG_AGO + timedelta(hours=number))
    return {"database_ids": [database], "page_size": 2, "max_workers": 1}


@pytest.mark.parametrize("stream", ["pages", "blocks", "blocks_markdown"])
def test_a_recording_replays_to_the_same_verdicts(
    pipeline: Any, inputs: Any, notion: "NotionStandIn", stream: str
) -> None:
    made = pipeline(stream, **inputs)
    (made.folder / "config.yml").write_text(yaml.safe_dump(made.config))

    def verdicts(option: str) -> str:
        command = [*commands.BIZON, "source", "test", "config.yml", option, "tape"]
        done = commands.run(command, cwd=made.folder, capture_output=True, text=True, timeout=100)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    recorded = verdicts("--record")
    asked = len(notion.asked)
    assert verdicts("--replay") == recorded
    assert len(notion.asked) == asked
    assert recorded.count("\nok ") > 15
    assert TOKEN not in "".join(file.read_text() for file in (made.folder / "tape").iterdir())


@pytest.mark.parametrize("stream", ["pages", "blocks"])
def test_a_window_of_the_past_comes_again(pipeline: Any, inputs: Any, workspace: Workspace, stream: str) -> None:
    made = pipeline(stream, **inputs, sync_mode="incremental")
    made.run()
    everything = made.ids()
    since, until = LONG_AGO + timedelta(hours=1), LONG_AGO + timedelta(hours=3)
    made.run("--since", since.isoformat(), "--until", until.isoformat())
    again = made.ids()[len(everything) :]
    assert len(again) == (2 if stream == "pages" else 4)
    assert set(again) < set(everything)
    assert "0 records" in made.run()
