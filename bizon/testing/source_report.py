"""The suite for sources without pytest: one verdict per behaviour. ``bizon source test`` prints them."""

from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from bizon.common.interrupts import in_words, is_for_the_process
from bizon.testing.source_behaviours import behaviours
from bizon.testing.source_subject import BehaviourError, NotApplicable, Subject


class Status(StrEnum):
    """How a behaviour was found."""

    OK = "ok"
    FAILED = "failed"
    NOT_APPLICABLE = "not applicable"


class Verdict(NamedTuple):
    """A behaviour and how it was found. ``text``: the failure with its remedy, or why it does not apply."""

    behaviour: str
    status: Status
    text: str = ""


def verdicts(subject: Subject) -> Iterator[Verdict]:
    """Try every behaviour, one after the other; none stops the rest."""
    for name, behaviour in behaviours():
        try:
            behaviour(subject)
        except NotApplicable as reason:
            yield Verdict(name, Status.NOT_APPLICABLE, str(reason))
        except BehaviourError as failure:
            yield Verdict(name, Status.FAILED, str(failure))
        except Exception as error:
            if is_for_the_process(error):
                raise
            yield Verdict(name, Status.FAILED, in_words(error))
        else:
            yield Verdict(name, Status.OK)
