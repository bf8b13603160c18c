"""Errors for records that do not fit their columns."""


class MisfitError(ValueError):
    """A record, or one of its values, does not fit the columns."""


def misfit(path: str, reason: str) -> MisfitError:
    """The error for a value that does not fit its column."""
    return MisfitError(f"column '{path}' {reason}")
