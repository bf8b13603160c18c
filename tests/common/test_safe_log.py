"""Log records of bizon are safe with the sinks of another program."""

import sys

import loguru
import pytest

from bizon.common.safe_log import logger
from bizon.common.secret import MASK, registry


def _fail(headers: dict[str, str]) -> None:
    raise TypeError(f"a mistake, with {headers['X-Key']}")


def test_a_traceback_has_no_variables_with_the_default_sink_of_loguru(capsys: pytest.CaptureFixture[str]) -> None:
    loguru.logger.remove()
    loguru.logger.add(sys.stderr)  # the default of loguru: diagnose=True
    with registry.known_while(["Sekret-77-Value"]):
        try:
            _fail({"X-Key": "Sekret-77-Value"})
        except TypeError as error:
            logger.opt(exception=error).error("it failed")
    shown = capsys.readouterr().err
    assert "Sekret" not in shown
    assert "in _fail" in shown
    assert f"TypeError: a mistake, with {MASK}" in shown


def test_a_record_tells_who_logged_it(capsys: pytest.CaptureFixture[str]) -> None:
    logger.info("page {} of {}", 1, {"braces": "{}"})
    assert capsys.readouterr().err == f"INFO {__name__}: page 1 of {{'braces': '{{}}'}}\n"


def test_a_warning_is_cut_and_an_info_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    logger.warning("x" * 50_000)
    logger.info("y" * 50_000)
    shown = capsys.readouterr().err
    assert shown.count("x") < 2_100
    assert shown.count("y") == 50_000
