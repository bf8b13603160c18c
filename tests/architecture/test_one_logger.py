"""Modules log through ``bizon.common.safe_log``, whose records hold no secret."""

import re
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "bizon"
OWN_SINKS = {"cli/text/console_logs.py", "engine/runner/adapters/reporter.py"}
"""These modules add and remove sinks, in a process of their own, or wait for them."""
RECORDS = {"connectors/destinations/logger/src/destination.py"}
TESTING = {"testing/broker_queue.py"}


IMPORT = re.compile(r"^\s*(from loguru import (?!\w*(Message|Record)\b)|import loguru)", re.MULTILINE)


def test_no_other_module_configures_loguru() -> None:
    found = {
        file.relative_to(PACKAGE).as_posix()
        for file in PACKAGE.rglob("*.py")
        if re.search(
            r"^\s*(from loguru import (?!\w*(Message|Record)\b)|import loguru)", file.read_text(), re.MULTILINE
        )
    }
    assert found == OWN_SINKS | RECORDS | TESTING | {"common/safe_log.py"}
