"""Modules log through ``bizon.common.safe_log``, whose records hold no secret."""

import re
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "bizon"
OWN_SINKS = {"cli/text/console_logs.py", "engine/runner/adapters/reporter.py"}
"""Who adds and removes sinks, in a process of its own, or waits for them."""
RECORDS = {"connectors/destinations/logger/src/destination.py"}
TESTING = {"testing/broker_queue.py"}


IMPORT = re.compile(r"^\s*(from loguru import (?!\w*(Message|Record)\b)|import loguru)", re.MULTILINE)


def test_nobody_else_logs_past_it() -> None:
    found = {
        file.relative_to(PACKAGE).as_posix()
        for file in PACKAGE.rglob("*.py")
        if re.search(
            r"^\s*(from loguru import (?!\w*(Message|Record)\b)|import loguru)", file.read_text(), re.MULTILINE
        )
    }
    assert found == OWN_SINKS | RECORDS | TESTING | {"common/safe_log.py"}
