"""Each error class says which part failed and how the command exits."""

import pytest

from bizon.common.errors import errors
from bizon.common.errors.errors import BizonError, ExitCode, FailureClass

SPECIAL = {
    "BizonError": (FailureClass.UNKNOWN, ExitCode.FAILED),
    "ConfigError": (FailureClass.CONFIG, ExitCode.CONFIG),
    "MissingDependencyError": (FailureClass.CONFIG, ExitCode.CONFIG),
    "SourceError": (FailureClass.SOURCE, ExitCode.FAILED),
    "DestinationError": (FailureClass.DESTINATION, ExitCode.FAILED),
    "BackendError": (FailureClass.BACKEND, ExitCode.FAILED),
    "JobLockedError": (FailureClass.LOCKED, ExitCode.LOCKED),
    "QueueError": (FailureClass.QUEUE, ExitCode.FAILED),
    "ClusterError": (FailureClass.CLUSTER, ExitCode.FAILED),
    "TransformError": (FailureClass.TRANSFORM, ExitCode.FAILED),
}
TREE = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, BizonError)]


@pytest.mark.parametrize("kind", TREE, ids=lambda kind: kind.__name__)
def test_a_class_has_the_failure_class_and_exit_code_of_its_nearest_base_that_sets_them(kind: type[BizonError]) -> None:
    expected = next(SPECIAL[base.__name__] for base in kind.__mro__ if base.__name__ in SPECIAL)
    assert (kind.failure_class, kind.exit_code) == expected


def test_every_class_that_sets_them_is_in_the_table() -> None:
    own = {kind.__name__ for kind in TREE if {"failure_class", "exit_code"} & vars(kind).keys()}
    assert own == SPECIAL.keys()
