"""What follows from the journal, in one canonical form: as it is stored, and as the replay makes it.

Its hash is SHA-256 over JSON lines: the accounts by code and currency (debits, credits, pending debits, pending
credits, latest effective time), the open holds by id (id, end), and the head (entries, postings, hash, recorded,
closed until). Times are microseconds since 1970.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID

import orjson

from marketbill.ids import public_id
from marketbill.ledger.audit.finding import Findings, Rule, instant_text
from marketbill.ledger.audit.replay import Replay
from marketbill.ledger.audit.snapshot import Head, Snapshot
from marketbill.ledger.audit.tally import NOTHING, Totals
from marketbill.ledger.chain import GENESIS

_EMPTY = Head(0, 0, GENESIS, 0, None, 0)


@dataclass(frozen=True, slots=True)
class Projection:
    """Accounts by code and currency, open holds with their end, and the head, whose revision is no part of it."""

    accounts: Mapping[tuple[str, str], Totals]
    holds: Mapping[UUID, int | None]
    head: Head

    def digest(self) -> bytes:
        lines = sha256()
        for name in sorted(self.accounts):
            lines.update(orjson.dumps([*name, *self.accounts[name]], option=orjson.OPT_APPEND_NEWLINE))
        for id in sorted(self.holds):
            lines.update(orjson.dumps([str(id), self.holds[id]], option=orjson.OPT_APPEND_NEWLINE))
        head = self.head
        end = [head.entries, head.postings, head.hash.hex(), head.recorded_at, head.closed_until]
        lines.update(orjson.dumps(end, option=orjson.OPT_APPEND_NEWLINE))
        return lines.digest()


def as_stored(snapshot: Snapshot) -> Projection:
    """The projection that the books work with."""
    accounts = {(account.code, account.currency): account.totals for account in snapshot.accounts.values()}
    return Projection(accounts, snapshot.holds, snapshot.head or _EMPTY)


def as_replayed(replay: Replay, snapshot: Snapshot) -> Projection:
    """The projection that follows from the journal; an account that no entry moved holds nothing."""
    accounts = {(account.code, account.currency): NOTHING for account in snapshot.accounts.values()}
    accounts |= {(tally.code, tally.currency): tally.totals() for tally in replay.tallies.values()}
    closed_until = max((period.closed_until for period in snapshot.periods), default=None)
    head = Head(replay.entries, replay.postings, replay.chain.stored, replay.recorded_at, closed_until, 0)
    return Projection(accounts, {id: hold.expires_at for id, hold in replay.holds.items()}, head)


def compare(expected: Projection, found: Projection, findings: Findings) -> None:
    """Every difference between the replayed projection and the stored one."""
    for name in sorted(expected.accounts.keys() | found.accounts.keys()):
        should, stands = expected.accounts.get(name), found.accounts.get(name)
        if should != stands:
            _compare_totals(" ".join(name), should, stands, findings)
    for id in sorted(expected.holds.keys() | found.holds.keys()):
        words = [
            f"open, until {instant_text(holds[id])}" if id in holds else "not open"
            for holds in (expected.holds, found.holds)
        ]
        if words[0] != words[1]:
            findings.add(Rule.HOLD, f"hold {public_id('journal entry', id)}", expected=words[0], found=words[1])
    for what, should, stands in (
        ("number of entries", expected.head.entries, found.head.entries),
        ("number of postings", expected.head.postings, found.head.postings),
        ("end of the chain", expected.head.hash.hex(), found.head.hash.hex()),
        ("last recorded", instant_text(expected.head.recorded_at), instant_text(found.head.recorded_at)),
        ("closed until", instant_text(expected.head.closed_until), instant_text(found.head.closed_until)),
    ):
        if should != stands:
            findings.add(Rule.HEAD, what, expected=should, found=stands)


def _compare_totals(name: str, should: Totals | None, stands: Totals | None, findings: Findings) -> None:
    if should is None or stands is None:
        words = ["none" if totals is None else "an account" for totals in (should, stands)]
        findings.add(Rule.ACCOUNT_TOTALS, name, expected=words[0], found=words[1])
        return
    for field, one, other in zip(Totals._fields, should, stands, strict=True):
        if one != other:
            what = f"{name}, {field.replace('_', ' ')}"
            is_instant = field == "latest_effective_at"
            findings.add(
                Rule.ACCOUNT_TOTALS,
                what.removesuffix(" at"),
                expected=instant_text(one) if is_instant else one,
                found=instant_text(other) if is_instant else other,
            )
