"""The settings of the interpreter are restored."""

import gc
import platform
import subprocess
import sys

import pytest

from bizon.common.interpreter import tuned_for_pages

PAGES = """
import contextlib, resource, sys
from bizon.common.interpreter import tuned_for_pages

with tuned_for_pages() if sys.argv[1] == "tuned" else contextlib.nullcontext():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        page = [b"%6000d" % number for number in range(4_000)]
        del page
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def test_the_collector_runs_less_often_inside_and_as_before_afterwards() -> None:
    before, frozen = gc.get_threshold(), gc.get_freeze_count()
    with tuned_for_pages():
        assert gc.get_threshold()[0] > before[0]
        assert gc.get_freeze_count() > frozen
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0


def test_threads_switch_sooner_inside_and_as_before_afterwards() -> None:
    before = sys.getswitchinterval()
    with tuned_for_pages():
        assert sys.getswitchinterval() < before
    assert sys.getswitchinterval() == before


def test_an_error_restores_the_settings_too() -> None:
    before = gc.get_threshold()
    with pytest.raises(RuntimeError), tuned_for_pages():
        raise RuntimeError
    assert gc.get_threshold() == before


def test_a_run_turns_on_the_collector_that_the_command_turned_off() -> None:
    gc.disable()
    try:
        with tuned_for_pages():
            assert gc.isenabled()
        assert not gc.isenabled()
    finally:
        gc.enable()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the setting is glibc's")
def test_the_memory_of_a_page_serves_the_next_one() -> None:
    """By default the kernel cleared each page's memory again: 18 % more processor time for whole pages of lines."""
    usual, tuned = (
        int(subprocess.run([sys.executable, "-c", PAGES, how], check=True, capture_output=True, text=True).stdout)
        for how in ("usual", "tuned")
    )
    assert tuned < usual / 5
