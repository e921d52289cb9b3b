"""Identifiers: UUIDv7 inside, a readable prefix and 26 Crockford base32 characters outside (`pay_01jd…`).

Made in Python, so the schema runs on any PostgreSQL; time-ordered, so that keyset pagination by id is by time.
"""

import os
import threading
import time
from typing import NewType
from uuid import UUID

from marketbill.errors import NotFound

PlatformId = NewType("PlatformId", UUID)
"""Made only by the scope resolver (a verified credential, a webhook path, a system loop), never from an argument."""
NO_PLATFORM = PlatformId(UUID(int=0))
"""Under this id is kept what belongs to no platform: jobs and alarms of the processes themselves."""
SellerId = NewType("SellerId", UUID)
BuyerId = NewType("BuyerId", UUID)
PaymentId = NewType("PaymentId", UUID)
PayoutId = NewType("PayoutId", UUID)
TransferId = NewType("TransferId", UUID)
RefundId = NewType("RefundId", UUID)
DisputeId = NewType("DisputeId", UUID)

PREFIX = {
    "platform": "plt",
    "api key": "key",
    "fee schedule": "fee",
    "seller": "sel",
    "buyer": "buy",
    "payment method": "pmt",
    "payment": "pay",
    "payment line": "lin",
    "transfer": "trf",
    "payout": "pot",
    "dispute": "dis",
    "ledger account": "acc",
    "journal entry": "ent",
    "posting": "pst",
    "account change": "chg",
    "correction": "cor",
    "provider intent": "int",
    "tax rate": "txr",
    "refund": "ref",
    "return policy": "rpo",
    "reversal": "rev",
    "debt": "dbt",
    "seller hold": "hld",
    "release rule": "rel",
    "reserve": "rsv",
    "write-off": "wof",
    "topup": "top",
    "fraud warning": "frw",
    "payout item": "pit",
    "payout schedule": "psc",
    "payout run": "prn",
    "bank file": "bnk",
    "statement": "stm",
    "fee invoice": "inv",
    "drift": "drf",
}
KIND = {prefix: kind for kind, prefix in PREFIX.items()}

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_VALUE = {character: value for value, character in enumerate(_ALPHABET)}
_lock = threading.Lock()
_last = 0


def new_id() -> UUID:
    """A UUIDv7 (RFC 9562) that never goes back within a process: 48 bits of milliseconds, 12 of order, 62 random."""
    global _last
    with _lock:
        now = time.time_ns()
        stamp = (now // 1_000_000 << 12) | (now % 1_000_000 * 4096 // 1_000_000)
        stamp = _last = max(stamp, _last + 1)
    random = int.from_bytes(os.urandom(8)) & (1 << 62) - 1
    return UUID(int=(stamp >> 12) << 80 | 0x7 << 76 | (stamp & 0xFFF) << 64 | 0b10 << 62 | random)


def derived_id(seed: bytes) -> UUID:
    """A UUIDv8 (RFC 9562) of at least 16 secret bytes: the same seed gives the same id."""
    number = int.from_bytes(seed[:16])
    return UUID(int=number & ~(0xF << 76) & ~(0b11 << 62) | 0x8 << 76 | 0b10 << 62)


def public_id(kind: str, value: UUID) -> str:
    """The outside form of an id, for example `public_id("payment", id)` -> `pay_01jd…`."""
    number = value.int
    return PREFIX[kind] + "_" + "".join(_ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))


def parse_id(kind: str, text: str, *, path: tuple[str, ...] = ()) -> UUID:
    """The inside form. A malformed id, or one of another kind, is answered like an unknown one: NotFound."""
    prefix, _, body = text.partition("_")
    if prefix != PREFIX[kind] or len(body) != 26 or not all(character in _VALUE for character in body):
        raise NotFound(kind, text[:64], path=path)
    number = 0
    for character in body:
        number = number << 5 | _VALUE[character]
    if number >> 128:
        raise NotFound(kind, text[:64], path=path)
    return UUID(int=number)
