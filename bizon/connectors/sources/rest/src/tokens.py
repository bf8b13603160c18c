"""The name of a page as a checkpoint keeps it: without secrets, and with the digits of a number."""

from typing import TYPE_CHECKING, Any

from bizon.rows.encoding import KeptNumber

if TYPE_CHECKING:
    from bizon.connectors.sources.rest.src.hidden import Hidden
    from bizon.connectors.sources.rest.src.pages import Token

_NUMBER = "number"
_IN_CHECKPOINTS = 2**53  # JSON readers agree on integers up to here


class Tokens:
    """The two forms of a token: ``sent`` to the API, and ``kept`` as plain JSON, in which equal means the same page.
    Checkpoints of older releases have tokens as they were sent."""

    def __init__(self, hidden: "Hidden") -> None:
        self._hidden = hidden

    def kept(self, token: "Token") -> Any:
        if isinstance(token, str):
            return self._hidden.kept(token)
        is_large = isinstance(token, int) and abs(token) > _IN_CHECKPOINTS
        return {_NUMBER: str(token)} if is_large or isinstance(token, KeptNumber) else token

    def sent(self, kept: Any) -> "Token":
        """Raises SourceError for a token with a secret that the configuration no longer has."""
        if isinstance(kept, str | list):
            return self._hidden.sent(kept)
        return _number(kept[_NUMBER]) if isinstance(kept, dict) else kept


def _number(text: str) -> int | float:
    return int(text) if text.lstrip("-").isdecimal() and text != "-0" else KeptNumber(text)
