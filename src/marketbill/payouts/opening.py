"""Opening payouts: their rows, lines, requests to the provider and entries, many in one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row, insert

from marketbill.db import WriteScope
from marketbill.events import outbox
from marketbill.ids import new_id
from marketbill.payouts import lines
from marketbill.payouts.lines import Line
from marketbill.payouts.model import PayoutMethod, PayoutStatus, Rail, payout
from marketbill.provider import intent as intents
from marketbill.provider.intent import IntentDraft
from marketbill.provider.kinds import CREATE_PAYOUT


@dataclass(frozen=True, slots=True)
class Opening:
    """A payout to be: `amount` is the sum of its lines, of what is `available`. `account` is the seller's at the
    provider; the BANK rail has none."""

    seller: UUID
    currency: str
    amount: int
    lines: Sequence[Line]
    account: str | None = None
    rail: Rail = Rail.PROVIDER
    method: PayoutMethod = PayoutMethod.STANDARD
    run: UUID | None = None
    retry_of: UUID | None = None
    fee: int = 0
    fee_tax: int = 0
    fee_country: str = ""
    available: int = 0


async def open_payouts(scope: WriteScope, openings: Sequence[Opening]) -> list[Row[Any]]:
    """Makes them; the sellers are locked. What follows is to be posted by the caller, last (`booking.created`)."""
    if not openings:
        return []
    ids = [new_id() for _ in openings]
    by_id = dict(zip(ids, openings, strict=True))
    opened = await intents.open_intents(
        scope, [_draft(id, one) for id, one in by_id.items() if one.rail is Rail.PROVIDER], send_now=False
    )
    intent_ids = {intent.subject_id: intent.id for intent in opened}
    rows = [_row(scope, id, one, intent_ids.get(id)) for id, one in by_id.items()]
    made = await scope.rows(insert(payout).values(rows).returning(payout))
    await lines.claim(scope, {id: one.lines for id, one in by_id.items()})
    if opened:
        await outbox.enqueue(scope, "execute_payouts", str(scope.platform))
    order = {id: place for place, id in enumerate(ids)}
    return sorted(made, key=lambda row: order[row.id])


def _draft(id: UUID, one: Opening) -> IntentDraft:
    request: dict[str, Any] = {"account_id": one.account, "amount": one.amount, "currency": one.currency}
    if one.method is PayoutMethod.INSTANT:
        request["instant"] = True
    return IntentDraft(CREATE_PAYOUT, id, request)


def _row(scope: WriteScope, id: UUID, one: Opening, intent: UUID | None) -> dict[str, Any]:
    return {
        "platform_id": scope.platform,
        "id": id,
        "seller_id": one.seller,
        "currency": one.currency,
        "amount": one.amount,
        "status": PayoutStatus.CREATED,
        "intent_id": intent,
        "created_at": scope.now,
        "updated_at": scope.now,
        "rail": one.rail,
        "method": one.method,
        "run_id": one.run,
        "retry_of": one.retry_of,
        "fee": one.fee,
        "fee_tax": one.fee_tax,
        "fee_country": one.fee_country,
    }
