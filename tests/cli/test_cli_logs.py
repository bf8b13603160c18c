"""Log lines on stderr: one sink, scrubbed, gone afterwards."""

import logging

import pytest
from loguru import logger

from bizon.cli.text.console_logs import console_logs, write_to_stderr
from bizon.common.scrub import Scrubber

SCRUB = Scrubber(["s3kret"])


def test_lines_go_to_stderr_at_the_level_and_above(capsys: pytest.CaptureFixture[str]) -> None:
    with console_logs("WARNING", SCRUB):
        logger.info("quiet")
        logger.warning("loud")
    logger.error("afterwards")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert captured.err.endswith("| WARNING  | loud\n")


@pytest.mark.lesson("F-27")
def test_secrets_are_masked_in_messages_and_tracebacks(capsys: pytest.CaptureFixture[str]) -> None:
    """Variables used to be shown in tracebacks, and headers in messages."""
    with console_logs("DEBUG", SCRUB):
        logger.info("token s3kret, Authorization: Basic abc")
        try:
            password = "hidden-in-a-variable"
            raise ValueError(f"s3kret, {len(password)} characters")
        except ValueError:
            logger.exception("failed")
    text = capsys.readouterr().err
    assert "ValueError: **********, 20 characters" in text
    assert "Traceback" in text
    for secret in ("s3kret", "Basic abc", "hidden-in-a-variable"):
        assert secret not in text


@pytest.mark.lesson("F-27")
def test_standard_library_loggers_are_scrubbed_too(capsys: pytest.CaptureFixture[str]) -> None:
    with console_logs("WARNING", SCRUB):
        logging.getLogger("urllib3").warning("Retrying /x?api_key=%s", "abc {braces}")
    text = capsys.readouterr().err
    assert "Retrying /x?api_key=********** {braces}" in text


@pytest.mark.lesson("F-47")
def test_the_root_logger_is_as_it_was() -> None:
    before = list(logging.getLogger().handlers)
    with console_logs("INFO", SCRUB):
        assert logging.getLogger().handlers != before
    assert logging.getLogger().handlers == before


def test_level_secrets_and_place_can_change_meanwhile(capsys: pytest.CaptureFixture[str]) -> None:
    lines: list[str] = []
    with console_logs("WARNING", Scrubber()) as logs:
        logger.info("quiet")
        logs.change("INFO", SCRUB, lines.append)
        logger.info("hello s3kret")
        logs.change("INFO", SCRUB, write_to_stderr)
        logger.info("below s3kret")
    assert [line.partition("| ")[2] for line in lines] == ["INFO     | hello **********\n"]
    assert capsys.readouterr().err.endswith("| INFO     | below **********\n")


def test_lines_can_be_written_above_a_live_display() -> None:
    lines: list[str] = []
    with console_logs("INFO", SCRUB, lines.append):
        logger.info("hello s3kret")
    assert len(lines) == 1
    assert lines[0].endswith("hello **********\n")
