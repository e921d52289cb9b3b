"""Balance transactions of Stripe, asked for together with their sources; payouts of connected accounts.

Sources: Stripe's pages on balance transaction types and reporting categories. The transactions of a transfer's
reversals name the transfer, those of a refund that failed the refund, those of a dispute the dispute.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast, get_args
from urllib.parse import quote

from marketbill.provider.movements import AccountMovement, AccountPayout, Movement, Moving
from marketbill.provider.objects import PayoutStatus
from marketbill.provider.port import Refused
from marketbill.provider.stripe import reading
from marketbill.provider.stripe.fields import (
    Json,
    amount,
    currency,
    id_of,
    id_or_none,
    instant,
    one_of,
    part,
    parts,
    text_or_none,
)
from marketbill.provider.stripe.wire import Wire

_OBJECTS = {
    "charge": Moving.CHARGE,
    "transfer": Moving.TRANSFER,
    "refund": Moving.REFUND,
    "dispute": Moving.DISPUTE,
    "topup": Moving.TOPUP,
    "payout": Moving.PAYOUT,
}
_OURS = "marketbill_"
#: Movements of one object; more than anything has.
_OF_ONE_MAX = 1_000


class StripeMovements:
    """The part of the adapter that tells of money that moved."""

    _wire: Wire

    async def list_movements(self, *, created_from: datetime, created_until: datetime, limit: int) -> list[Movement]:
        query = {"created": _span(created_from, created_until), "expand": ["data.source"]}
        return await self._wire.list("/v1/balance_transactions", _movement, query, limit=limit)

    async def movements_of(self, object_id: str) -> list[Movement]:
        query = {"source": object_id, "expand": ["data.source"]}
        try:
            return await self._wire.list("/v1/balance_transactions", _movement, query, limit=_OF_ONE_MAX)
        except Refused as refused:
            if refused.failure.code == "resource_missing":
                return []
            raise

    async def list_account_payouts(
        self, account_id: str, *, created_from: datetime, created_until: datetime, limit: int
    ) -> list[AccountPayout]:
        query = {"created": _span(created_from, created_until)}
        return await self._wire.list("/v1/payouts", _payout, query, account_id=account_id, limit=limit)

    async def retrieve_account_payout(self, account_id: str, payout_id: str) -> AccountPayout | None:
        try:
            url = f"/v1/payouts/{quote(payout_id, safe='')}"
            return await self._wire.call("get", url, _payout, account_id=account_id)
        except Refused as refused:
            if refused.failure.status == 404:
                return None
            raise

    async def list_account_movements(
        self, account_id: str, *, created_from: datetime, created_until: datetime, limit: int
    ) -> list[AccountMovement]:
        query = {"created": _span(created_from, created_until), "expand": ["data.source"]}
        url = "/v1/balance_transactions"
        return await self._wire.list(url, _account_movement, query, account_id=account_id, limit=limit)


def _span(start: datetime, end: datetime) -> dict[str, int]:
    return {"gte": int(start.timestamp()), "lte": int(end.timestamp())}


def _movement(data: Json) -> Movement:
    transaction = reading.balance_transaction(data)
    source: Any = data.get("source")
    thing: Json = source if isinstance(source, Mapping) else {}
    moving = _OBJECTS.get(str(thing.get("object")), Moving.OTHER)
    return Movement(
        transaction=transaction,
        created=instant(data, "created"),
        category=text_or_none(data, "reporting_category") or transaction.type,
        moving=moving,
        object_id=transaction.source or transaction.id,
        alone=_alone(thing),
        payment_id=id_or_none(thing, "payment_intent"),
        transfer_group=text_or_none(thing, "transfer_group"),
        destination=id_or_none(thing, "destination") if moving is Moving.TRANSFER else None,
        metadata=_ours(thing),
    )


def _alone(thing: Json) -> bool:
    """False when the object says that other transactions are of it too."""
    return not (
        thing.get("amount_reversed")
        or thing.get("failure_balance_transaction")
        or len(parts(thing, "balance_transactions")) > 1
        or thing.get("status") in ("reversed", "canceled")
    )


def _ours(thing: Json) -> dict[str, str]:
    return {
        name: value
        for name, value in part(thing, "metadata").items()
        if name.startswith(_OURS) and isinstance(value, str)
    }


def _payout(data: Json) -> AccountPayout:
    code = currency(data)
    trace = part(data, "trace_id")
    return AccountPayout(
        id=id_of(data),
        created=instant(data, "created"),
        status=cast(PayoutStatus, one_of(data, "status", get_args(PayoutStatus))),
        amount=amount(data, "amount", code),
        currency=code,
        arrival_date=instant(data, "arrival_date"),
        failure_code=text_or_none(data, "failure_code"),
        bank_reference=text_or_none(trace, "value"),
        balance_transaction=id_or_none(data, "balance_transaction"),
        metadata=_ours(data),
    )


def _account_movement(data: Json) -> AccountMovement:
    source: Any = data.get("source")
    thing: Json = source if isinstance(source, Mapping) else {}
    return AccountMovement(
        reading.balance_transaction(data),
        instant(data, "created"),
        transfer_id=id_or_none(thing, "source_transfer"),
        reversal_id=id_or_none(thing, "source_transfer_reversal"),
    )
