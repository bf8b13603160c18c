"""What a record that does not fit its columns raises."""


class MisfitError(ValueError):
    """A record, or one of its values, does not fit the columns."""


def misfit(path: str, reason: str) -> MisfitError:
    """Of one column."""
    return MisfitError(f"column '{path}' {reason}")
