"""Secrets: hashes for what we only compare (API keys), AES-GCM for what we must read again (provider credentials).

And signatures (Ed25519) for what others must be able to check without us.
"""

import base64
import hashlib
import hmac
import os
import secrets
from typing import Any

import orjson
from cryptography.exceptions import InvalidSignature, InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

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
        self._signing = _derive(master, b"marketbill signing")
        self._previews = _derive(master, b"marketbill previews")
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

    def preview_token(self, context: str, facts: Any) -> str:
        """Stands for what a preview showed: whoever executes computes it again from the present, and compares.

        `facts` are plain data (no floats) of all that will happen, and of the state that it starts from, so that one
        that was carried out never fits again. `context` names the operation and its tenant.
        """
        body = orjson.dumps([context, facts], option=orjson.OPT_SORT_KEYS)
        seal = hmac.digest(self._previews, body, hashlib.sha256)
        return "prv_" + base64.urlsafe_b64encode(seal[:24]).decode()

    def signer(self, *, context: str) -> "Signer":
        """Signs for `context`. The key follows from the master key: no copy of it is in the database."""
        return Signer(hmac.digest(self._signing, context.encode(), hashlib.sha256))


class Signer:
    """An Ed25519 key (RFC 8032) made from 32 secret bytes."""

    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)

    @property
    def public_key(self) -> str:
        """The public half in PEM (SubjectPublicKeyInfo), as OpenSSL and others read it."""
        return self._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    def sign(self, data: bytes) -> bytes:
        """64 bytes; the same data gives the same."""
        return self._key.sign(data)


class NoPublicKey(Exception):
    """What was given as a public key is no Ed25519 key in PEM."""


def is_signed(data: bytes, signature: bytes, public_key: str) -> bool:
    """Whether the owner of the public key (PEM) signed the data. Raises NoPublicKey."""
    key = _public_key(public_key)
    try:
        key.verify(signature, data)
    except InvalidSignature:
        return False
    return True


def same_key(one: str, other: str) -> bool:
    """Whether two PEM texts are the same public key. Raises NoPublicKey."""
    return _public_key(one).public_bytes_raw() == _public_key(other).public_bytes_raw()


def _public_key(pem: str) -> Ed25519PublicKey:
    try:
        key = load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise NoPublicKey
    return key


def random_secret() -> str:
    """256 random bits, URL-safe."""
    return secrets.token_urlsafe(32)


def same(left: bytes, right: bytes) -> bool:
    """Constant-time comparison."""
    return hmac.compare_digest(left, right)


def _derive(master: str, purpose: bytes) -> bytes:
    return hmac.digest(master.encode(), purpose, hashlib.sha256)
