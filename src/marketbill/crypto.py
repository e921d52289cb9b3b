"""Secrets: hashes for what we only compare (API keys), AES-GCM for what we must read again (provider credentials)."""

import base64
import hashlib
import hmac
import os
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_KEY_ID = "k1"


class UnreadableSecret(Exception):
    """A stored secret does not decrypt: MARKETBILL_SECRET_KEY changed, or the row was moved or altered."""


class Vault:
    """Encrypts and hashes under one master key (the setting MARKETBILL_SECRET_KEY, at least 32 characters).

    `context` binds a ciphertext to its place (`platform:table:column`), so a row moved elsewhere is refused.
    """

    def __init__(self, master: str) -> None:
        self._cipher = AESGCM(_derive(master, b"marketbill encryption"))
        self._pepper = _derive(master, b"marketbill hashing")
        self.token_key = _derive(master, b"marketbill tokens")

    def encrypt(self, text: str, *, context: str) -> str:
        nonce = os.urandom(12)
        sealed = nonce + self._cipher.encrypt(nonce, text.encode(), context.encode())
        return f"{_KEY_ID}.{base64.urlsafe_b64encode(sealed).decode()}"

    def decrypt(self, sealed: str, *, context: str) -> str:
        """The plain text. Raises UnreadableSecret when key, context or bytes do not fit."""
        key_id, _, body = sealed.partition(".")
        try:
            raw = base64.urlsafe_b64decode(body)
            if key_id != _KEY_ID:
                raise UnreadableSecret
            return self._cipher.decrypt(raw[:12], raw[12:], context.encode()).decode()
        except (InvalidTag, ValueError) as error:
            raise UnreadableSecret from error

    def hash(self, secret: str) -> bytes:
        """HMAC-SHA256 with a pepper. A 256-bit random key needs no slow hash."""
        return hmac.digest(self._pepper, secret.encode(), hashlib.sha256)


def random_secret() -> str:
    """256 random bits, URL-safe."""
    return secrets.token_urlsafe(32)


def same(left: bytes, right: bytes) -> bool:
    """Constant-time comparison."""
    return hmac.compare_digest(left, right)


def _derive(master: str, purpose: bytes) -> bytes:
    return hmac.digest(master.encode(), purpose, hashlib.sha256)
