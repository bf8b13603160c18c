"""What is kept of a refresh token in the state, so that the state alone is worth nothing.

The key is derived from the refresh token of the configuration, which the state does not hold: whoever reads the state,
or a copy of it, cannot use the token that took its place. Encryption is a stream of SHAKE-256 under a nonce of its own
for each text, then an HMAC-SHA-256 over nonce and text (encrypt-then-MAC). Both are of the standard library: a library
for one short text would be the heaviest dependency of a bare install.
"""

import hashlib
import hmac
import secrets
from base64 import b64decode, b64encode
from binascii import Error as NotBase64

_VERSION = b"\x01"
_NONCE, _TAG = 32, 32  # bytes


class Seal:
    """Names and seals what takes the place of ``secret``, the configured refresh token. ``place`` tells one endpoint
    and client from another."""

    def __init__(self, secret: str, place: str) -> None:
        root = hmac.digest(b"bizon: kept refresh token", secret.encode(), "sha256")
        self._key, self._proof = (hmac.digest(root, purpose, "sha256") for purpose in (b"text", b"proof"))
        self.name = hmac.new(root, f"name\0{place}".encode(), "sha256").hexdigest()
        """Under which it is kept: the same for all pipelines with this secret, and says nothing about it."""

    def closed(self, text: str) -> str:
        """The text as it is kept."""
        nonce, plain = secrets.token_bytes(_NONCE), text.encode()
        body = _VERSION + nonce + _mixed(plain, self._key + nonce)
        return b64encode(hmac.digest(self._proof, self.name.encode() + body, "sha256") + body).decode()

    def opened(self, kept: str) -> str | None:
        """The text; None for one that was damaged, or that this secret did not close."""
        try:
            whole = b64decode(kept, validate=True)
        except (NotBase64, ValueError):
            return None
        tag, body = whole[:_TAG], whole[_TAG:]
        expected = hmac.digest(self._proof, self.name.encode() + body, "sha256")
        if not hmac.compare_digest(tag, expected) or body[:1] != _VERSION:
            return None
        nonce = body[1 : 1 + _NONCE]
        return _mixed(body[1 + _NONCE :], self._key + nonce).decode()


def _mixed(text: bytes, seed: bytes) -> bytes:
    stream = hashlib.shake_256(seed).digest(len(text))
    return bytes(a ^ b for a, b in zip(text, stream, strict=True))
