"""The platform's own money at the provider: top-ups from its bank, and payouts to it.

Both are made at the provider, so its events and objects are all that we hear of them. Each is booked once, whatever the
order in which its news comes in: a later return is an entry of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID

from marketbill.db import WriteScope
from marketbill.ids import derived_id
from marketbill.ledger import chart, journal
from marketbill.ledger.journal import JournalEntry, Outcome, Posting, Source
from marketbill.provider.objects import Payout, Topup

_ENDED_WITHOUT_MONEY = ("pending", "failed", "canceled")
_RETURNED = ("failed", "canceled")


@dataclass(frozen=True, slots=True)
class _Movement:
    """An amount of the platform's own, from its bank to the provider or back."""

    kind: str
    source: Source
    provider_id: str
    amount: int
    currency: str
    to_bank: bool

    def entry(self, scope: WriteScope, words: str) -> JournalEntry:
        bank, there = chart.bank(self.currency), chart.psp_available(self.currency)
        return JournalEntry(
            key=f"{self.kind}:{self.provider_id}",
            kind=self.kind,
            source=self.source,
            postings=(Posting(bank, there, self.amount) if self.to_bank else Posting(there, bank, self.amount),),
            effective_at=scope.now,
            description=f"{words} {self.provider_id}",
            reason={"provider_object": self.provider_id},
        )


async def top_up(scope: WriteScope, told: Topup) -> None:
    """J0: what came from the platform's bank, and what its bank took back again."""
    if told.status in _ENDED_WITHOUT_MONEY:
        return
    source = Source("topup", _named(scope, told.id))
    came = _Movement("float", source, told.id, told.amount, told.currency, to_bank=False)
    entries = [came.entry(scope, "Float top-up")]
    if told.status == "reversed":
        went = _Movement("float-returned", source, told.id, told.amount, told.currency, to_bank=True)
        entries.append(went.entry(scope, "Float top-up taken back"))
    await _post(scope, entries)


async def pay_out(scope: WriteScope, told: Payout) -> None:
    """A payout of the platform itself: its balance is less from the moment it is made, until it comes back."""
    source = Source("payout", _named(scope, told.id))
    went = _Movement("platform-payout", source, told.id, told.amount, told.currency, to_bank=True)
    entries = [went.entry(scope, "Payout of the platform")]
    if told.status in _RETURNED:
        back = _Movement("platform-payout-returned", source, told.id, told.amount, told.currency, to_bank=False)
        entries.append(back.entry(scope, "Payout of the platform came back"))
    await _post(scope, entries)


async def _post(scope: WriteScope, entries: Sequence[JournalEntry]) -> None:
    """What stands already stands as it was told first: only its time would be another one now."""
    for result in await journal.post(scope, entries):
        if result.outcome is Outcome.REFUSED and result.refusal is not None:
            raise result.refusal


def _named(scope: WriteScope, provider_id: str) -> UUID:
    """An id for what is none of our objects: the same whenever it is asked for."""
    return derived_id(sha256(scope.platform.bytes + provider_id.encode()).digest())
