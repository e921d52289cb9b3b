"""Telling the provider of taxes what was sold: its calculation becomes a transaction once the sale is booked.

The intent is committed with the booking. A transaction's reference is the payment's id and there can be only one of it,
so that no repetition reports a sale twice.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row

from marketbill.db import WriteScope
from marketbill.events import outbox
from marketbill.ids import public_id
from marketbill.provider import intent as intents
from marketbill.provider.intent import Intent, IntentDraft
from marketbill.provider.kinds import CREATE_TAX_TRANSACTION, KINDS
from marketbill.provider.port import Provider
from marketbill.provider.saga import Done, Saga, Setback
from marketbill.rules.tax.provided import RULE


async def begin(scope: WriteScope, booked: Sequence[tuple[Row[Any], datetime]]) -> None:
    """Opens the intents of those payments whose taxes a provider calculated."""
    drafts = [
        IntentDraft(
            CREATE_TAX_TRANSACTION,
            payment.id,
            {
                "calculation_id": calculation,
                "reference": public_id("payment", payment.id),
                "posted_at": at.isoformat(),
            },
        )
        for payment, at in booked
        if (calculation := calculation_of(payment.trace)) is not None
    ]
    if drafts:
        await intents.open_intents(scope, drafts, send_now=False)
        await outbox.enqueue(scope, KINDS[CREATE_TAX_TRANSACTION].job, str(scope.platform))


def calculation_of(trace: dict[str, Any]) -> str | None:
    """The provider's calculation that a payment's taxes came from; None when they came from elsewhere."""
    lines = trace["inputs"]["lines"].values() if "inputs" in trace else ()
    for line in lines:
        rule = line["tax"]["rule"]
        if rule.startswith(RULE):
            return rule.removeprefix(RULE)
    return None


async def _look_up(provider: Provider, intent: Intent) -> str | None:
    # Transactions cannot be searched. What was made before answers to the same reference when it is sent again.
    return None


async def _send(provider: Provider, intent: Intent) -> str:
    request = intent.request
    return await provider.create_tax_transaction(
        key=intent.key,
        calculation_id=request["calculation_id"],
        reference=request["reference"],
        posted_at=datetime.fromisoformat(request["posted_at"]),
    )


async def _succeeded(scope: WriteScope, done: Sequence[Done[str]]) -> None:
    """The intent's own row keeps the transaction's id."""


async def _failed(scope: WriteScope, setback: Setback) -> None:
    """It is tried again or waits for an operator; the sale stands, and so does its tax."""


#: The saga of a tax transaction.
TAX_TRANSACTION = Saga(
    kind=CREATE_TAX_TRANSACTION,
    look_up=_look_up,
    send=_send,
    provider_id=lambda made: made,
    succeeded=_succeeded,
    failed=_failed,
)
