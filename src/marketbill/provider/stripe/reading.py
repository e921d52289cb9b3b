"""Stripe's JSON read into the port's words. Works on answers and on the snapshots in events alike."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from marketbill.provider.port import (
    INTENT_METADATA,
    Account,
    AccountLink,
    Balance,
    BalanceTransaction,
    CapabilityState,
    Charge,
    Decline,
    NextAction,
    PaymentMethod,
    PaymentState,
    Payout,
    ProviderEvent,
    Requirements,
    Transfer,
)
from marketbill.provider.stripe.units import from_stripe

Json = Mapping[str, Any]

_V1_CAPABILITY = {
    "active": CapabilityState.ACTIVE,
    "pending": CapabilityState.PENDING,
    "inactive": CapabilityState.RESTRICTED,
    "unrequested": CapabilityState.UNREQUESTED,
}
_V2_CAPABILITY = {
    "active": CapabilityState.ACTIVE,
    "pending": CapabilityState.PENDING,
    "restricted": CapabilityState.RESTRICTED,
    "unsupported": CapabilityState.RESTRICTED,
}


def account(data: Json) -> Account:
    """A v1 account."""
    asked = data.get("requirements") or {}
    return Account(
        id=data["id"],
        may_transfer=_V1_CAPABILITY.get(
            (data.get("capabilities") or {}).get("transfers", "unrequested"), CapabilityState.RESTRICTED
        ),
        may_pay_out=bool(data.get("payouts_enabled")),
        requirements=Requirements(
            currently_due=tuple(asked.get("currently_due") or ()),
            past_due=tuple(asked.get("past_due") or ()),
            pending_verification=tuple(asked.get("pending_verification") or ()),
            disabled_reason=asked.get("disabled_reason"),
            due_by=_instant_or_none(asked.get("current_deadline")),
        ),
    )


def account_v2(data: Json) -> Account:
    """A v2 account, asked for with its recipient configuration and requirements."""
    recipient = (data.get("configuration") or {}).get("recipient") or {}
    balance = (recipient.get("capabilities") or {}).get("stripe_balance") or {}
    transfers = (balance.get("stripe_transfers") or {}).get("status")
    return Account(
        id=data["id"],
        may_transfer=_V2_CAPABILITY.get(transfers, CapabilityState.RESTRICTED)
        if transfers
        else CapabilityState.UNREQUESTED,
        may_pay_out=(balance.get("payouts") or {}).get("status") == "active",
        requirements=_requirements_v2(data.get("requirements") or {}),
    )


def account_link(data: Json) -> AccountLink:
    return AccountLink(url=data["url"], expires_at=_instant(data["expires_at"]))


def payment_method(data: Json) -> PaymentMethod:
    card = data.get("card") or {}
    detail = card or data.get(data["type"]) or {}
    return PaymentMethod(
        id=data["id"],
        kind=data["type"],
        brand=card.get("brand"),
        last4=detail.get("last4"),
        exp_month=card.get("exp_month"),
        exp_year=card.get("exp_year"),
    )


def payment(data: Json) -> PaymentState:
    currency = data["currency"].upper()
    return PaymentState(
        id=data["id"],
        status=data["status"],
        amount=from_stripe(data["amount"], currency),
        currency=currency,
        charge_id=_id(data.get("latest_charge")),
        client_secret=data.get("client_secret"),
        next_action=_next_action(data.get("next_action")),
        decline=_decline(data.get("last_payment_error")),
        intent_id=_intent_id(data),
        transfer_group=data.get("transfer_group"),
    )


def charge(data: Json) -> Charge:
    """`balance_transaction` is read only when it was expanded."""
    currency = data["currency"].upper()
    settled = data.get("balance_transaction")
    return Charge(
        id=data["id"],
        amount=from_stripe(data["amount"], currency),
        currency=currency,
        status=data["status"],
        payment_id=_id(data.get("payment_intent")),
        balance_transaction=balance_transaction(settled) if isinstance(settled, Mapping) else None,
    )


def balance_transaction(data: Json) -> BalanceTransaction:
    currency = data["currency"].upper()
    return BalanceTransaction(
        id=data["id"],
        type=data["type"],
        amount=from_stripe(data["amount"], currency),
        fee=from_stripe(data["fee"], currency),
        net=from_stripe(data["net"], currency),
        currency=currency,
        status=data["status"],
        available_on=_instant(data["available_on"]),
        source=_id(data.get("source")),
    )


def transfer(data: Json) -> Transfer:
    currency = data["currency"].upper()
    return Transfer(
        id=data["id"],
        amount=from_stripe(data["amount"], currency),
        currency=currency,
        destination=_id(data["destination"]) or "",
        destination_payment=_id(data.get("destination_payment")),
        created=_instant(data["created"]),
        intent_id=_intent_id(data),
        transfer_group=data.get("transfer_group"),
    )


def payout(data: Json) -> Payout:
    currency = data["currency"].upper()
    return Payout(
        id=data["id"],
        status=data["status"],
        amount=from_stripe(data["amount"], currency),
        currency=currency,
        arrival_date=_instant(data["arrival_date"]),
        failure_code=data.get("failure_code"),
        intent_id=_intent_id(data),
    )


def balances(data: Json) -> list[Balance]:
    amounts: dict[str, dict[str, int]] = {}
    for state in ("pending", "available"):
        for part in data.get(state) or ():
            currency = part["currency"].upper()
            held = amounts.setdefault(currency, {"pending": 0, "available": 0})
            held[state] += from_stripe(part["amount"], currency)
    return [Balance(currency, **held) for currency, held in sorted(amounts.items())]


def event(data: Json) -> ProviderEvent:
    return ProviderEvent(
        id=data["id"],
        type=data["type"],
        account=data.get("account"),
        created=_instant(data["created"]),
        livemode=bool(data.get("livemode")),
        object=dict(data["data"]["object"]),
        previous=data["data"].get("previous_attributes"),
    )


def _requirements_v2(data: Json) -> Requirements:
    found: dict[str, list[str]] = {"currently_due": [], "past_due": [], "pending_verification": []}
    for entry in data.get("entries") or ():
        if entry.get("awaiting_action_from") == "stripe":
            found["pending_verification"].append(entry["description"])
        else:
            due = (entry.get("minimum_deadline") or {}).get("status")
            if due in found:
                found[due].append(entry["description"])
    soonest = ((data.get("summary") or {}).get("minimum_deadline") or {}).get("time")
    return Requirements(
        **{name: tuple(fields) for name, fields in found.items()},
        disabled_reason="requirements.past_due" if found["past_due"] else None,
        due_by=datetime.fromisoformat(soonest) if soonest else None,
    )


def _next_action(data: Json | None) -> NextAction | None:
    if not data:
        return None
    return NextAction(kind=data["type"], redirect_url=(data.get("redirect_to_url") or {}).get("url"))


def _decline(data: Json | None) -> Decline | None:
    if not data:
        return None
    return Decline(
        code=data.get("decline_code") or data.get("code") or "generic_decline",
        advice=data.get("advice_code"),
        message=data.get("message") or "The payment was declined.",
    )


def _intent_id(data: Json) -> str | None:
    return (data.get("metadata") or {}).get(INTENT_METADATA)


def _id(value: Any) -> str | None:
    """The id of an object that may be expanded."""
    return value.get("id") if isinstance(value, Mapping) else value


def _instant(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _instant_or_none(seconds: int | None) -> datetime | None:
    return None if seconds is None else _instant(seconds)
