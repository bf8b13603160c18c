"""The settings of the interpreter are left as they were found."""

import gc
import sys

import pytest

from bizon.common.interpreter import tuned_for_pages


def test_the_collector_looks_less_often_within_and_as_before_afterwards() -> None:
    before, frozen = gc.get_threshold(), gc.get_freeze_count()
    with tuned_for_pages():
        assert gc.get_threshold()[0] > before[0]
        assert gc.get_freeze_count() > frozen
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0


def test_threads_take_turns_sooner_within_and_as_before_afterwards() -> None:
    before = sys.getswitchinterval()
    with tuned_for_pages():
        assert sys.getswitchinterval() < before
    assert sys.getswitchinterval() == before


def test_an_error_leaves_it_as_it_was_too() -> None:
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
