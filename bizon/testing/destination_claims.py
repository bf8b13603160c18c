"""The claims of a destination, and which tests belong to them."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import pytest

from bizon.source.config import SourceSyncModes

if TYPE_CHECKING:
    from bizon.destination.config import AbstractDestinationConfig

FULL_REFRESH, INCREMENTAL, STREAM = SourceSyncModes.FULL_REFRESH, SourceSyncModes.INCREMENTAL, SourceSyncModes.STREAM

Test = TypeVar("Test", bound=Callable[..., None])
_CLAIMS: dict[str, tuple[tuple[str, ...], Any]] = {}  # by name of the test
_MODES = "in_modes"  # an attribute of the tests that run once in each of some modes
_EXACT = "exactly_once"  # an attribute of those among them that need rows exactly once


def claimed_by(*claims: str) -> Callable[[Test], Test]:
    """A behaviour that only those have who make all these claims."""

    def note(test: Test) -> Test:
        _CLAIMS[test.__name__] = claims, test
        return test

    return note


def in_modes(modes: Sequence[SourceSyncModes], *claims: str) -> Callable[[Test], Test]:
    """A behaviour in each of these sync modes."""

    def note(test: Test) -> Test:
        setattr(test, _MODES, modes)
        return claimed_by(*claims)(test)

    return note


def staged(*claims: str) -> Callable[[Test], Test]:
    """A behaviour of destinations that stage, in the sync modes in which they do."""
    return in_modes((FULL_REFRESH, INCREMENTAL), "stages", *claims)


def every_mode(*claims: str) -> Callable[[Test], Test]:
    """A behaviour in every sync mode."""
    return in_modes((FULL_REFRESH, INCREMENTAL, STREAM), *claims)


def exactly_once(test: Test) -> Test:
    """A behaviour only in the sync modes in which rows are there exactly once."""
    setattr(test, _EXACT, True)
    return test


class ClaimedBehaviours:
    """The claims. Each is true unless the docstring of the destination says otherwise.

    ``stages``: nothing is seen before it is published, and a full refresh replaces what was there. False for a target
    that only takes rows; the next four then do not matter.
    ``counts_staged_rows``: rows that are recorded and not staged stop the publication.
    ``fenced``: a superseded start writes, removes and publishes nothing that counts.
    ``marks_output``: ``output`` tells which job published last, and whether there are rows.
    ``owns_output``: another pipeline is refused, and so is an incremental run whose state was lost. A record that names
    the table of another pipeline, in sync mode stream, is refused with RowsRejectedError.

    ``shows_presence`` (false unless claimed): while a job is running, a start whose state does not know it is refused
    before it changes anything.

    ``exactly_once``: in sync modes full_refresh and incremental, a batch that was written and not recorded is not
    published twice. ``exactly_once_in_stream`` (false unless claimed): nor does it stay in sync mode stream.

    ``survives_interruptions``: the process may die after any call to the target, and any call may fail.
    ``retries``: a failure that may pass is repeated, or raised with ``retryable`` set, so that the loader repeats it.

    ``takes_parts`` (false unless claimed): several workers may stage parts of one job at once (``single_writer`` is
    False), and one start publishes them all.

    ``modes``: the sync modes it knows.
    """

    stages: ClassVar[bool] = True
    counts_staged_rows: ClassVar[bool] = True
    fenced: ClassVar[bool] = True
    marks_output: ClassVar[bool] = True
    owns_output: ClassVar[bool] = True
    shows_presence: ClassVar[bool] = False
    exactly_once: ClassVar[bool] = True
    exactly_once_in_stream: ClassVar[bool] = False
    survives_interruptions: ClassVar[bool] = True
    retries: ClassVar[bool] = True
    takes_parts: ClassVar[bool] = False
    modes: ClassVar[Sequence[SourceSyncModes]] = (FULL_REFRESH, INCREMENTAL, STREAM)

    def __init_subclass__(cls) -> None:
        """Drop the tests of unclaimed behaviours, and of modes that the class lacks, so that none is reported as
        skipped."""
        super().__init_subclass__()
        for name, (claims, test) in _CLAIMS.items():
            if name not in cls.__dict__ and hasattr(cls, name):
                is_claimed = all(getattr(cls, claim) for claim in claims) and cls._modes_of(test)
                setattr(cls, name, test if is_claimed else None)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Called by pytest for each test: it runs once in each of its modes that the class has."""
        if hasattr(metafunc.function, _MODES):
            metafunc.parametrize("mode", self._modes_of(metafunc.function))

    @classmethod
    def _modes_of(cls, test: Any) -> list[SourceSyncModes]:
        """The modes of the class in which a test runs."""
        found = [mode for mode in getattr(test, _MODES, cls.modes) if mode in cls.modes]
        if not hasattr(test, _EXACT):
            return found
        return [mode for mode in found if (cls.exactly_once_in_stream if mode is STREAM else cls.exactly_once)]

    def ids(self, config: "AbstractDestinationConfig", table: str | None = None) -> list[str]:
        """Record ids that a reader finds, sorted; ``DestinationConformance`` reads them."""
        raise NotImplementedError

    def other_table(self, config: "AbstractDestinationConfig") -> str:
        """The ``destination_id`` of another table, next to the configured one."""
        return f"{config.config.destination_id or 'items'}_other"

    def expect(
        self, config: "AbstractDestinationConfig", mode: SourceSyncModes, ids: Sequence[str], when: str = ""
    ) -> None:
        """Fail unless a reader finds the records with these ids: each once, or where the destination is at least once,
        each at least once."""
        found, wanted = self.ids(config), sorted(ids)
        if not (self.exactly_once_in_stream if mode is STREAM else self.exactly_once):
            found = sorted(set(found) & set(wanted))
        assert found == wanted, f"a reader finds {found}, wanted {wanted} {when}"
