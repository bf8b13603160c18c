"""The name of a page as a checkpoint keeps it: without secrets, and with the digits of a number."""

from typing import TYPE_CHECKING, Any

from bizon.rows.frames import encode_data
from bizon.rows.kept_json import loads_kept

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
        needs_text = isinstance(token, float) or (isinstance(token, int) and abs(token) > _IN_CHECKPOINTS)
        return {_NUMBER: encode_data(token).decode()} if needs_text else token

    def sent(self, kept: Any) -> "Token":
        """Raises SourceError for a token with a secret that the configuration no longer has."""
        if isinstance(kept, str | list):
            return self._hidden.sent(kept)
        return loads_kept(f"[{kept[_NUMBER]}]")[0] if isinstance(kept, dict) else kept
