"""Shows that the crash tests can fail: ``python tests/e2e/crash/mutants.py [NAME ...]``, or ``make chaos-mutants``.

First the tests run as they are and must pass. Then the guards of ``hook/`` are switched off one at a time, in the
tests, in the commands they start and in the children of those, and a test must fail. A line per guard:

* ``caught by TEST``: the first test that failed;
* ``SURVIVED``: a test is missing;
* ``NOT JUDGED``: no test failed by itself; the hook no longer fits the code, or the tests could not be run.

The exit code is 0 when all are caught.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HOOK = Path(__file__).with_name("hook")
ROOT = Path(__file__).parents[3]
sys.path.append(str(HOOK))

from guards import Guard, guards  # noqa: E402

LONGEST_RUN = 900  # seconds
CAUGHT, SURVIVED, NOT_JUDGED = "caught by", "SURVIVED", "NOT JUDGED"
FAILED = re.compile(r"^FAILED (.+?)(?: - .*)?$", re.MULTILINE)


@dataclass(frozen=True)
class Outcome:
    """A run of tests: pytest's exit code, what it printed, and what the hook noted."""

    code: int
    output: str
    notes: str = ""


def verdict(outcome: Outcome) -> tuple[str, str]:
    """The verdict on a guard that was off, with the test or the reason."""
    broken = [line for line in outcome.notes.splitlines() if line.startswith("broken ")]
    failed = FAILED.search(outcome.output)
    if broken:
        return NOT_JUDGED, broken[0]
    if "applied " not in outcome.notes:
        return NOT_JUDGED, f"it was never switched off\n{tail(outcome.output)}"
    if failed is not None:
        return CAUGHT, failed[1]
    if outcome.code == 0:
        return SURVIVED, ""
    return NOT_JUDGED, f"pytest ended with {outcome.code}\n{tail(outcome.output)}"


def run_tests(tests: Sequence[str], workers: int, guard: Guard | None = None) -> Outcome:
    """Run tests, in the repository, with a guard switched off."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        notes = Path(folder) / "notes"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        environment |= {"COLUMNS": "200", "NO_COLOR": "1", "BIZON_TEST_PLAIN_PROCESSES": "1", "BIZON_TEST_LONG": "1"}
        if guard is not None:
            paths = [str(HOOK), *filter(None, [os.environ.get("PYTHONPATH")])]
            environment |= {"GUARD_OFF": guard.name, "GUARD_LOG": str(notes), "PYTHONPATH": os.pathsep.join(paths)}
        own = [f"--basetemp={folder}/tests", "-p", "no:cacheprovider"]  # what another pytest does is not seen
        options = ["-x", "-q", "-rfE", *own, "-n", str(workers)]
        try:
            done = subprocess.run(
                [sys.executable, "-m", "pytest", *options, *tests],
                cwd=ROOT,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=LONGEST_RUN,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Outcome(-1, f"did not end within {LONGEST_RUN} s")
        return Outcome(done.returncode, done.stdout, notes.read_text() if notes.exists() else "")


def tail(output: str) -> str:
    return "\n".join(f"    {line}" for line in output.splitlines()[-12:])


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description="Switch off one guard after the other; a test must fail each time.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="guards; all when none is named")
    parser.add_argument("--no-baseline", action="store_true", help="do not run the tests unchanged first")
    parser.add_argument("--against", action="append", metavar="TEST", help="run these tests instead of the guard's own")
    parser.add_argument("--workers", type=int, default=2, help="processes that share the tests of a guard")
    options = parser.parse_args(arguments)
    known = guards()
    unknown = sorted(set(options.names) - set(known))
    if unknown:
        parser.error(f"no such guard: {', '.join(unknown)}; there are: {', '.join(known)}")
    chosen = [known[name] for name in options.names] or list(known.values())
    if not options.no_baseline:
        tests = sorted({test for guard in chosen for test in options.against or guard.caught_by})
        baseline = run_tests(tests, options.workers)
        if baseline.code != 0:
            print(f"the tests fail with every guard in place\n{tail(baseline.output)}")
            return 1
        print(f"{'(all guards in place)':<54} passed: {baseline.output.strip().splitlines()[-1]}", flush=True)
    found: Counter[str] = Counter()
    for guard in chosen:
        word, what = verdict(run_tests(options.against or guard.caught_by, options.workers, guard))
        found[word] += 1
        print(f"{guard.name:<54} {word} {what}".rstrip(), flush=True)
    unjudged = f", {found[NOT_JUDGED]} not judged" if found[NOT_JUDGED] else ""
    print(f"{len(chosen)} mutants, {found[CAUGHT]} caught, {found[SURVIVED]} survived{unjudged}")
    return 0 if found[CAUGHT] == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
