"""Seals refresh tokens, so that the state alone is useless to a reader.

The key is derived from the refresh token of the configuration, which is not in the state: a reader of the state, or of
its copy, cannot use the token that replaced it. Encryption is a SHAKE-256 stream with a nonce per text, followed by an
HMAC-SHA-256 over nonce and text (encrypt-then-MAC). The standard library has both: a library for one short text would
be the heaviest dependency of a bare install.
"""

import hashlib
import hmac
import secrets
from base64 import b64decode, b64encode
from binascii import Error as NotBase64

_VERSION = b"\x01"
_NONCE, _TAG = 32, 32  # bytes


class Seal:
    """Names and seals the token that replaced ``secret``, the configured refresh token. ``place`` distinguishes
    endpoints and clients."""

    def __init__(self, secret: str, place: str) -> None:
        root = hmac.digest(b"bizon: kept refresh token", secret.encode(), "sha256")
        self._key, self._proof = (hmac.digest(root, purpose, "sha256") for purpose in (b"text", b"proof"))
        self.name = hmac.new(root, f"name\0{place}".encode(), "sha256").hexdigest()
        """The name in the state: the same for all pipelines with this secret. It does not reveal the secret."""

    def closed(self, text: str) -> str:
        """The sealed text."""
        nonce, plain = secrets.token_bytes(_NONCE), text.encode()
        body = _VERSION + nonce + _mixed(plain, self._key + nonce)
        return b64encode(hmac.digest(self._proof, self.name.encode() + body, "sha256") + body).decode()

    def opened(self, kept: str) -> str | None:
        """The text; None when it is damaged, or sealed with another secret."""
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
