"""The platform's own money at the provider: top-ups, payouts to its bank, and what the provider takes by itself.

None of it is asked for by us, so the provider's list of balance transactions is all that we hear of it. It is looked
through every few minutes, and at once when an event tells of a top-up. Each transaction is booked under its own id, so
looking twice changes nothing; a kind that is not known goes to suspense, where a person sees it.
"""

from datetime import timedelta
from hashlib import sha256

from marketbill.db import WriteScope
from marketbill.events import outbox
from marketbill.ids import PlatformId, derived_id
from marketbill.ledger import chart, journal
from marketbill.ledger.journal import JournalEntry, Posting, Source
from marketbill.payouts import forecast
from marketbill.platforms.credentials import provider_of
from marketbill.provider.objects import BalanceTransaction
from marketbill.services import Services

#: So far back each look goes: longer than anybody leaves the machine switched off.
LOOKS_BACK = timedelta(days=30)
#: Transactions of one type in one look.
LOOK_MAX = 1_000
JOB = "keep_up_treasury"

#: The provider's types, and the kind of entry that each is booked as.
_KINDS = {
    "topup": "float",
    "topup_reversal": "float-returned",
    "payout": "platform-payout",
    "payout_failure": "platform-payout-returned",
    "payout_cancel": "platform-payout-returned",
    "stripe_fee": "suspense",
    "adjustment": "suspense",
    "contribution": "suspense",
    "network_cost": "suspense",
}
_WORDS = {
    "float": "Top-up from the platform's bank",
    "float-returned": "Top-up taken back by the bank",
    "platform-payout": "Payout to the platform's bank",
    "platform-payout-returned": "Payout to the platform's bank came back",
    "suspense": "Moved by the provider",
}


async def money_moved(scope: WriteScope) -> None:
    """The platform's own money moved at the provider: it is looked at soon."""
    await outbox.enqueue(scope, JOB, str(scope.platform))


async def keep_up_treasury(services: Services, platform: PlatformId) -> None:
    """Books what moved and is not booked yet, and looks whether what is there will do; safe to run in many workers at
    once."""
    async with services.db.read(platform) as scope:
        provider, now = await provider_of(services, scope), scope.now
    for type_ in _KINDS:
        listed = await provider.list_balance_transactions(created_from=now - LOOKS_BACK, type=type_, limit=LOOK_MAX)
        own = [one for one in listed if one.net and not _is_of_a_dispute(one)]
        if own:
            async with services.db.write(platform) as scope:
                await journal.post_all(scope, [_entry(scope, one) for one in reversed(own)])
    await forecast.watch(services, platform)


def _is_of_a_dispute(one: BalanceTransaction) -> bool:
    """What a dispute withdraws or gives back is an adjustment too, and is booked with the dispute."""
    return (one.category or "").startswith("dispute")


def source_of(platform: PlatformId, transaction_id: str) -> Source:
    """The source under which a transaction of the provider's is booked."""
    return Source("balance transaction", derived_id(sha256(platform.bytes + transaction_id.encode()).digest()))


def _entry(scope: WriteScope, one: BalanceTransaction) -> JournalEntry:
    kind = _KINDS[one.type]
    return JournalEntry(
        key=f"{kind}:{one.id}",
        kind=kind,
        source=source_of(scope.platform, one.id),
        postings=(_posting(kind, one),),
        effective_at=one.created or one.available_on,
        description=f"{_WORDS[kind]}: {one.source or one.id}",
        reason={"balance_transaction": one.id, "type": one.type, "provider_object": one.source or ""},
    )


def _posting(kind: str, one: BalanceTransaction) -> Posting:
    there = chart.psp_available(one.currency)
    other = chart.account(chart.SUSPENSE_PSP, one.currency) if kind == "suspense" else chart.bank(one.currency)
    return Posting(there, other, one.net) if one.net > 0 else Posting(other, there, -one.net)
