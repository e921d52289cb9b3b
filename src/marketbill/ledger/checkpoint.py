"""Signed checkpoints: what the books held at one entry, to be kept where nobody who can write the books can reach.

Whoever may write the database may also rewrite the whole journal with every hash in it, and the proof would hold. It
would not hold against a checkpoint that was taken before and kept outside: the hash at that entry is another.

A checkpoint is a JSON file of three members. `checkpoint` is what is signed; `signature` is the Ed25519 signature
(RFC 8032) in base64 over its canonical bytes; `public_key` is the key in PEM. The canonical bytes are `checkpoint` as
JSON in UTF-8 with the keys sorted and no white space: `jq -cSj .checkpoint FILE`. Amounts are text, because many JSON
readers round large numbers. So an auditor needs none of our programs:

    jq -cSj .checkpoint FILE > signed; jq -r .signature FILE | base64 -d > signature; jq -r .public_key FILE > key.pem
    openssl pkeyutl -verify -pubin -inkey key.pem -rawin -in signed -sigfile signature

The key belongs to one platform and follows from MARKETBILL_SECRET_KEY. The auditor compares it with the one that was
handed over at the beginning: a key in the file proves nothing by itself.
"""

import base64
import binascii
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from marketbill.crypto import NoPublicKey, Signer, Vault, is_signed, same_key
from marketbill.db import ReadScope
from marketbill.errors import InvalidInput
from marketbill.ids import PlatformId, public_id
from marketbill.ledger.audit.finding import Finding, Findings, Rule, instant_text
from marketbill.ledger.audit.history import Progress, Read
from marketbill.ledger.audit.replay import Replay
from marketbill.ledger.audit.snapshot import take
from marketbill.ledger.chain import GENESIS

_NOTHING: tuple[int, int, bytes, datetime | None, UUID | None] = (0, 0, GENESIS, None, None)

FORMAT = "marketbill-checkpoint-1"

#: The longest file that is taken for a checkpoint, in bytes.
FILE_MAX = 1_000_000

_HEAD = """
select h.entries, h.postings, h.hash, e.recorded_at, e.id
from ledger_head h left join journal_entry e on e.platform_id = $1 and e.number = h.entries
where h.platform_id = $1
"""
_TRIAL = """
select currency, sum(debits)::text as debits, sum(credits)::text as credits
from ledger_account where platform_id = $1 group by currency having sum(debits) > 0 order by currency
"""


class NoCheckpoint(InvalidInput):
    """The file is no checkpoint, or no public key; the message says which."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint as it was signed: what it says (`body`), the signature, and the key that it came with."""

    body: dict[str, Any]
    signature: bytes
    public_key: str

    def signed_bytes(self) -> bytes:
        """The canonical bytes under the signature."""
        return _canonical(self.body)

    def document(self) -> str:
        """The file."""
        document = {
            "checkpoint": self.body,
            "public_key": self.public_key,
            "signature": base64.b64encode(self.signature).decode(),
        }
        return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode() + "\n"


def signer_of(vault: Vault, platform: PlatformId) -> Signer:
    """The key with which a platform's checkpoints are signed."""
    return vault.signer(context=f"{public_id('platform', platform)}:checkpoint")


async def sign(scope: ReadScope, signer: Signer) -> Checkpoint:
    """A checkpoint of the books as they are now. It says what they hold, not that they hold good: see `proof`."""
    rows = await scope.fetch(_HEAD, scope.platform)
    entries, postings, hash, recorded_at, id = rows[0] if rows else _NOTHING
    body = {
        "format": FORMAT,
        "platform": public_id("platform", scope.platform),
        "entries": entries,
        "postings": postings,
        "entry": None if id is None else public_id("journal entry", id),
        "hash": hash.hex(),
        "recorded_at": None if recorded_at is None else recorded_at.isoformat(),
        "signed_at": scope.now.isoformat(),
        "trial_balance": [
            {"currency": currency, "debits_minor": debits, "credits_minor": credits}
            for currency, debits, credits in await scope.fetch(_TRIAL, scope.platform)
        ],
    }
    return Checkpoint(body, signer.sign(_canonical(body)), signer.public_key)


def read_document(text: bytes) -> Checkpoint:
    """A checkpoint's file. Raises NoCheckpoint."""
    try:
        document = orjson.loads(text)
        body, signature, key = document["checkpoint"], document["signature"], document["public_key"]
        known = body["format"] == FORMAT and isinstance(body["platform"], str) and isinstance(key, str)
        if not known or not isinstance(body["hash"], str) or not _is_count(body["entries"]):
            raise NoCheckpoint(f"This is no checkpoint of the form {FORMAT}.")
        return Checkpoint(body, base64.b64decode(signature, validate=True), key)
    except (orjson.JSONDecodeError, binascii.Error, KeyError, TypeError, ValueError) as error:
        raise NoCheckpoint("This is no checkpoint: a JSON file with checkpoint, public_key and signature.") from error


async def check(
    read: Read, checkpoint: Checkpoint, *, trusted_key: str, progress: Progress = lambda done, total: None
) -> list[Finding]:
    """Whether the books still hold the very history that was signed, made again from the first entry on.

    `trusted_key` is the public key (PEM) that the signature must be of. Gives what differs, and nothing when all is as
    it was. Raises NoCheckpoint when the key is none.
    """
    findings = Findings()
    _check_signature(checkpoint, trusted_key, findings)
    body = checkpoint.body
    async with read() as scope:
        platform = public_id("platform", scope.platform)
        snapshot = await take(scope, Findings())
    if body["platform"] != platform:
        _differs(findings, "platform", body["platform"], platform)
        return findings.of(Rule.CHECKPOINT, Rule.CHAIN)
    replay = Replay([], findings)
    if body["entries"] > snapshot.last_entry:
        _differs(
            findings, "number of entries", f"at least {body['entries']}", f"{snapshot.last_entry}: the rest is gone"
        )
        return findings.of(Rule.CHECKPOINT, Rule.CHAIN)
    await replay.run(read, snapshot.accounts, last=body["entries"], progress=progress)
    entry = None if replay.last_id is None else public_id("journal entry", replay.last_id)
    at = f"entry {body['entries']}"
    for what, signed, found in (
        (f"hash at {at}", body["hash"], replay.chain.proven.hex()),
        (f"id of {at}", body.get("entry"), entry),
        (
            f"recorded time of {at}",
            body.get("recorded_at"),
            None if entry is None else instant_text(replay.recorded_at),
        ),
        (f"postings up to {at}", body.get("postings"), replay.postings),
        (f"trial balance at {at}", body.get("trial_balance"), _trial(replay)),
    ):
        if signed != found:
            _differs(findings, what, signed, found)
    return findings.of(Rule.CHECKPOINT, Rule.CHAIN)


def _check_signature(checkpoint: Checkpoint, trusted_key: str, findings: Findings) -> None:
    try:
        if not is_signed(checkpoint.signed_bytes(), checkpoint.signature, trusted_key):
            _differs(findings, "signature", "of the trusted key over what the file says", "another")
            if not same_key(checkpoint.public_key, trusted_key):
                _differs(findings, "public key", trusted_key, checkpoint.public_key)
    except NoPublicKey:
        raise NoCheckpoint("A public key is an Ed25519 key in PEM: -----BEGIN PUBLIC KEY-----.") from None


def _trial(replay: Replay) -> list[dict[str, str]]:
    sums: dict[str, tuple[int, int]] = {}
    for tally in replay.tallies.values():
        debits, credits = sums.get(tally.currency, (0, 0))
        sums[tally.currency] = (debits + tally.debits, credits + tally.credits)
    return [
        {"currency": currency, "debits_minor": str(debits), "credits_minor": str(credits)}
        for currency, (debits, credits) in sorted(sums.items())
        if debits
    ]


def _differs(findings: Findings, what: str, signed: object, found: object) -> None:
    findings.add(Rule.CHECKPOINT, what, expected=signed, found=found)


def _canonical(body: dict[str, Any]) -> bytes:
    return orjson.dumps(body, option=orjson.OPT_SORT_KEYS)


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0
