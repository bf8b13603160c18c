"""One file writes, records and publishes; one file says how a job ended. Safety in a crash rests on it."""

import ast
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "bizon"
LOADER, JOBS = "engine/pipeline/loader.py", "engine/runner/jobs.py"
OWNERS = {
    "write_records": LOADER,
    "create_destination_cursor": LOADER,
    "finalize": LOADER,
    "update_stream_job_status": JOBS,
}
SUITES = "testing/"  # the conformance suites drive destinations and backends directly: that is what they are for


@cache
def uses(package: Path) -> list[tuple[str, int, str]]:
    """File, line and name of each ``.name`` that is read, also by ``getattr``. Calls of ``super()`` do not count."""
    found = []
    for file in sorted(package.rglob("*.py")):
        path = file.relative_to(package).as_posix()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr in OWNERS and ast.unparse(node.value) != "super()":
                found.append((path, node.lineno, node.attr))
            elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("getattr", "methodcaller"):
                names = [arg.value for arg in node.args if isinstance(arg, ast.Constant) and arg.value in OWNERS]
                found += [(path, node.lineno, name) for name in names]
    return found


def strangers(package: Path) -> list[str]:
    """Uses outside the owner's file."""
    return [
        f"{path}:{line} uses {name}, which only {OWNERS[name]} may"
        for path, line, name in uses(package)
        if path != OWNERS[name] and not path.startswith(SUITES)
    ]


def test_nobody_but_the_loader_writes_and_publishes_and_nobody_but_jobs_sets_a_status() -> None:
    assert "\n".join(strangers(PACKAGE)) == ""


@pytest.mark.parametrize("name", OWNERS)
def test_the_owner_uses_what_it_owns(name: str) -> None:
    assert (OWNERS[name], name) in {(path, used) for path, _, used in uses(PACKAGE)}


def test_the_commit_point_fits_on_a_few_pages() -> None:
    assert len((PACKAGE / LOADER).read_text(encoding="utf-8").splitlines()) < 220


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("def f(d):\n    d.write_records(1)", "write_records"),
        ("def f(d):\n    return d.finalize", "finalize"),
        ("def f(b):\n    b.backend.create_destination_cursor(None)", "create_destination_cursor"),
        ("def f(b):\n    getattr(b, 'update_stream_job_status')('x')", "update_stream_job_status"),
    ],
)
def test_a_use_elsewhere_is_named(tmp_path: Path, text: str, name: str) -> None:
    (tmp_path / "consumer.py").write_text(text)
    assert strangers(tmp_path) == [f"consumer.py:2 uses {name}, which only {OWNERS[name]} may"]


def test_defining_a_method_or_calling_the_base_class_does_not_count_as_a_use(tmp_path: Path) -> None:
    (tmp_path / "destination.py").write_text("class D:\n    def finalize(self):\n        return super().finalize()")
    assert strangers(tmp_path) == []
