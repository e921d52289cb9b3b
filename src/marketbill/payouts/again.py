"""Transfers beside those of a release: money that is a seller's after all, and what is left of one that was lowered."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import insert

from marketbill.db import WriteScope
from marketbill.events import outbox
from marketbill.ids import new_id
from marketbill.ledger.journal import Source
from marketbill.payouts import exposure, items, payees
from marketbill.payouts.items import Item
from marketbill.payouts.model import Rail, TransferKind, TransferStatus, transfer
from marketbill.payouts.transfer import draft
from marketbill.provider import intent as intents
from marketbill.provider.stripe.units import transferable_part
from marketbill.sellers import seller as sellers

_INSERT = insert(transfer)
_WAITS = "The seller's account at the provider cannot receive transfers yet."


class Again(NamedTuple):
    """A transfer to be made, in minor units; `charge` is what it takes its money from, empty for the platform's own
    balance at the provider. `held` says why it is not sent yet, None where it may be."""

    payment_id: UUID
    seller_id: UUID
    currency: str
    amount: int
    kind: TransferKind = TransferKind.AGAIN
    charge: str = ""
    held: str | None = None


async def plan(scope: WriteScope, wanted: Sequence[Again]) -> None:
    """Writes the transfers down with their intents, or as HELD where the seller cannot receive; the worker sends them.

    A seller whom the platform's own bank pays gets no transfer: the money is a piece of his payouts at once. What is
    too small to be transferred stays payable."""
    by_bank = await payees.on_bank_rail(scope, {one.seller_id for one in wanted}) if wanted else set()
    await items.add(scope, [_for_bank(one) for one in wanted if one.seller_id in by_bank and one.amount > 0])
    going = [one for one in wanted if one.seller_id not in by_bank]
    amounts = [transferable_part(one.amount, one.currency) for one in going]
    made = [(new_id(), one, amount) for one, amount in zip(going, amounts, strict=True) if amount > 0]
    if not made:
        return
    accounts = await sellers.by_ids(scope, {one.seller_id for _, one, _ in made})
    ready = {id for id, row in accounts.items() if row.transfers == "ACTIVE" and row.provider_account}
    doubtful = await exposure.doubtful(scope, ready)
    opened = await intents.open_intents(
        scope,
        [
            draft(
                id,
                amount=amount,
                currency=one.currency,
                destination=accounts[one.seller_id].provider_account,
                charge=one.charge,
                payment_id=one.payment_id,
                doubtful=one.seller_id in doubtful,
            )
            for id, one, amount in made
            if one.seller_id in ready and one.held is None
        ],
        send_now=False,
    )
    intent_ids = {intent.subject_id: intent.id for intent in opened}
    await scope.run(
        _INSERT,
        [
            {
                "platform_id": scope.platform,
                "id": id,
                "payment_id": one.payment_id,
                "seller_id": one.seller_id,
                "currency": one.currency,
                "amount": amount,
                "kind": one.kind,
                "status": TransferStatus.PENDING if id in intent_ids else TransferStatus.HELD,
                "reason": None if id in intent_ids else one.held or _WAITS,
                "source_charge": one.charge,
                "intent_id": intent_ids.get(id),
                "created_at": scope.now,
                "updated_at": scope.now,
            }
            for id, one, amount in made
        ],
    )
    await outbox.enqueue(scope, "execute_transfers", str(scope.platform))


def _for_bank(one: Again) -> Item:
    """Its payment may have a piece of its own already, so this one is named by itself."""
    return Item(one.seller_id, one.currency, Source("payout item", new_id()), one.amount, Rail.BANK)
