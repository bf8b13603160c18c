"""Commands run one after the other, each in its own folder, and their cost is recorded."""

import sys
from pathlib import Path

import pytest

from benchmarks.measure import Command, CommandFailed, Samples, Usage, environment, fresh_folder, interleaved, run


def child(code: str, **named) -> Command:
    return Command((sys.executable, "-c", code), **named)


def usages(*walls: float) -> list[Usage]:
    return [Usage(wall, wall / 2, 10.0) for wall in walls]


def test_a_run_records_the_cost_and_output_of_the_command(tmp_path: Path) -> None:
    usage = run(child("print('done'); sum(range(200000))"), tmp_path)
    assert usage.printed == "done\n"
    assert usage.wall > 0
    assert usage.cpu > 0
    assert usage.peak_mb > 1


def test_processor_time_of_children_counts(tmp_path: Path) -> None:
    burn = "import time\nwhile time.process_time() < 0.5: pass"
    usage = run(child(f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}])"), tmp_path)
    assert usage.cpu >= 0.5


def test_memory_of_the_command_counts(tmp_path: Path) -> None:
    assert run(child("b = b'x' * 200_000_000"), tmp_path).peak_mb > 200


def test_a_command_finds_its_files_and_its_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIZON_ENV_TOKEN", "from outside")
    code = "import os; print(open('a.txt').read(), os.environ['OURS'], 'BIZON_ENV_TOKEN' in os.environ)"
    assert run(child(code, files={"a.txt": "text"}, environment={"OURS": "1"}), tmp_path).printed == "text 1 False\n"


def test_settings_of_python_and_bizon_do_not_reach_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "BIZON_ENV_A", "LOGURU_LEVEL"):
        monkeypatch.setenv(name, "1")
    found = [name for name in environment({}) if name.startswith(("PYTHON", "BIZON_", "LOGURU_"))]
    assert [name for name in found if not name.startswith("BIZON_TEST_")] == []


def test_the_address_of_a_server_reaches_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """A script filled a table in another server than the one that bizon read."""
    monkeypatch.setenv("BIZON_TEST_POSTGRES_URL", "postgresql://somebody@elsewhere/test")
    assert environment({})["BIZON_TEST_POSTGRES_URL"] == "postgresql://somebody@elsewhere/test"


def test_a_failed_command_shows_its_last_line(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match=r"^exit code 3: out of luck$"):
        run(child("import sys; print('x'); print('out of luck', file=sys.stderr); sys.exit(3)"), tmp_path)


def test_a_command_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    hang = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE)"
    forever = (
        f"import subprocess, sys; {hang.partition('; ')[2].replace('subprocess.run', 'p = subprocess.Popen')}; p.wait()"
    )
    with pytest.raises(CommandFailed, match=r"^killed after 1 seconds$"):
        run(child(forever), tmp_path, timeout=1)


def test_wrong_output_is_a_failure(tmp_path: Path) -> None:
    def check(folder: Path) -> None:
        raise CommandFailed(f"{len(list(folder.iterdir()))} files")

    with pytest.raises(CommandFailed, match="2 files"):
        run(child("", check=check), tmp_path)


def test_sides_alternate_after_a_warm_up_round(tmp_path: Path) -> None:
    log = tmp_path / "log"
    sides = {name: child(f"open({str(log)!r}, 'a').write({name!r})") for name in "AB"}
    found = interleaved(sides, runs=2, parent=tmp_path, failures={})
    assert log.read_text() == "ABABAB"
    assert {name: len(runs) for name, runs in found.items()} == {"A": 2, "B": 2}


def test_every_run_has_an_empty_folder_that_is_gone_afterwards(tmp_path: Path) -> None:
    side = child("import os; print(sorted(os.listdir())); open('left', 'w')")
    found = interleaved({"A": side}, runs=2, parent=tmp_path, failures={}, warm_up=False)
    assert {usage.printed for usage in found["A"]} == {"['stderr', 'stdout']\n"}
    assert list(tmp_path.iterdir()) == []


def test_a_side_that_fails_is_dropped_and_the_others_continue(tmp_path: Path) -> None:
    failures: dict[str, str] = {}
    found = interleaved({"A": child("exit(1)"), "B": child("")}, runs=2, parent=tmp_path, failures=failures)
    assert {name: len(runs) for name, runs in found.items()} == {"B": 2}
    assert failures == {"A": "exit code 1: no output"}


def test_a_folder_is_removed_when_its_run_fails(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed), fresh_folder(tmp_path):
        raise CommandFailed
    assert list(tmp_path.iterdir()) == []


def test_medians_exclude_the_start_up_where_it_was_measured() -> None:
    assert Samples(usages(3, 1, 8)).median("wall") == 3
    assert Samples(usages(3, 1, 8), start=Samples(usages(0.5))).median("wall") == 2.5


def test_pairwise_ratios_are_taken_within_each_round() -> None:
    assert Samples(usages(2, 6)).pairwise(Samples(usages(1, 2)), "cpu") == [2, 3]


def test_the_harness_is_smaller_than_the_commands_it_measures() -> None:
    """A child's peak memory starts at its parent's on Linux: a harness that loads Polars would measure itself."""
    code = (
        "import sys, benchmarks.bench; print(*sorted({'polars', 'sqlalchemy', 'pydantic', 'bizon'} & {*sys.modules}))"
    )
    root = Path(__file__).parents[2]
    command = child(code, environment={"PYTHONPATH": str(root)})
    with fresh_folder(Path.cwd()) as folder:
        assert run(command, folder).printed == "\n"
