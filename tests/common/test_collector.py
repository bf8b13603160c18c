"""The cycle collector is left as it was found."""

import gc

import pytest

from bizon.common.collector import collecting_seldom


def test_the_collector_looks_less_often_within_and_as_before_afterwards() -> None:
    before, frozen = gc.get_threshold(), gc.get_freeze_count()
    with collecting_seldom():
        assert gc.get_threshold()[0] > before[0]
        assert gc.get_freeze_count() > frozen
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0


def test_an_error_leaves_it_as_it_was_too() -> None:
    before = gc.get_threshold()
    with pytest.raises(RuntimeError), collecting_seldom():
        raise RuntimeError
    assert gc.get_threshold() == before


def test_a_run_turns_on_the_collector_that_the_command_turned_off() -> None:
    gc.disable()
    try:
        with collecting_seldom():
            assert gc.isenabled()
        assert not gc.isenabled()
    finally:
        gc.enable()
