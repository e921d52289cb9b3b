"""Stripe's JSON read into the port's words. Works on answers and on the snapshots in events alike."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast, get_args

from marketbill.provider.objects import (
    Account,
    AccountLink,
    Balance,
    BalanceTransaction,
    CapabilityState,
    Charge,
    ChargeStatus,
    Decline,
    Dispute,
    DisputeStatus,
    FraudWarning,
    FundsStatus,
    NextAction,
    PaymentMethod,
    PaymentState,
    PaymentStatus,
    Payout,
    PayoutStatus,
    ProviderEvent,
    Refund,
    RefundStatus,
    Requirements,
    Reversal,
    TopUp,
    TopUpStatus,
    Transfer,
)
from marketbill.provider.port import INTENT_METADATA
from marketbill.provider.stripe.fields import (
    amount,
    currency,
    id_of,
    id_or_none,
    instant,
    instant_or_none,
    one_of,
    part,
    parts,
    rate_or_none,
    text,
    text_or_none,
    texts,
    whole,
)

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
    asked = part(data, "requirements")
    may_transfer = text_or_none(part(data, "capabilities"), "transfers") or "unrequested"
    return Account(
        id=id_of(data),
        may_transfer=_V1_CAPABILITY.get(may_transfer, CapabilityState.RESTRICTED),
        may_pay_out=data.get("payouts_enabled") is True,
        requirements=Requirements(
            currently_due=texts(asked, "currently_due"),
            past_due=texts(asked, "past_due"),
            pending_verification=texts(asked, "pending_verification"),
            disabled_reason=text_or_none(asked, "disabled_reason"),
            due_by=instant_or_none(asked, "current_deadline"),
        ),
    )


def account_v2(data: Json) -> Account:
    """A v2 account, asked for with its recipient configuration and requirements."""
    recipient = part(part(data, "configuration"), "recipient")
    balance = part(part(recipient, "capabilities"), "stripe_balance")
    transfers = text_or_none(part(balance, "stripe_transfers"), "status")
    return Account(
        id=id_of(data),
        may_transfer=_V2_CAPABILITY.get(transfers, CapabilityState.RESTRICTED)
        if transfers
        else CapabilityState.UNREQUESTED,
        may_pay_out=part(balance, "payouts").get("status") == "active",
        requirements=_requirements_v2(part(data, "requirements")),
    )


def account_of_seller(data: Json) -> tuple[str, str | None]:
    """The id of a v1 account, and the seller of ours that its metadata names."""
    return id_of(data), text_or_none(part(data, "metadata"), "marketbill_seller")


def customer_of_buyer(data: Json) -> tuple[str, str | None]:
    """The id of a customer, and the buyer of ours that its metadata names."""
    return id_of(data), text_or_none(part(data, "metadata"), "marketbill_buyer")


def account_link(data: Json) -> AccountLink:
    return AccountLink(url=text(data, "url"), expires_at=instant(data, "expires_at"))


def payment_method(data: Json) -> PaymentMethod:
    kind = text(data, "type")
    card = part(data, "card")
    detail = card or part(data, kind)
    return PaymentMethod(
        id=id_of(data),
        kind=kind,
        brand=text_or_none(card, "brand"),
        last4=text_or_none(detail, "last4"),
        exp_month=None if card.get("exp_month") is None else whole(card, "exp_month"),
        exp_year=None if card.get("exp_year") is None else whole(card, "exp_year"),
    )


def payment(data: Json) -> PaymentState:
    code = currency(data)
    return PaymentState(
        id=id_of(data),
        status=cast(PaymentStatus, one_of(data, "status", get_args(PaymentStatus))),
        amount=amount(data, "amount", code),
        currency=code,
        charge_id=id_or_none(data, "latest_charge"),
        client_secret=text_or_none(data, "client_secret"),
        next_action=_next_action(part(data, "next_action")),
        decline=_decline(part(data, "last_payment_error")),
        intent_id=_intent_id(data),
        transfer_group=text_or_none(data, "transfer_group"),
    )


def charge(data: Json) -> Charge:
    """`balance_transaction` is read only when it was expanded."""
    code = currency(data)
    return Charge(
        id=id_of(data),
        amount=amount(data, "amount", code),
        currency=code,
        status=cast(ChargeStatus, one_of(data, "status", get_args(ChargeStatus))),
        payment_id=id_or_none(data, "payment_intent"),
        balance_transaction=_expanded(data, "balance_transaction"),
    )


def balance_transaction(data: Json) -> BalanceTransaction:
    code = currency(data)
    return BalanceTransaction(
        id=id_of(data),
        type=text(data, "type"),
        amount=amount(data, "amount", code),
        fee=amount(data, "fee", code),
        net=amount(data, "net", code),
        currency=code,
        status=cast(FundsStatus, one_of(data, "status", get_args(FundsStatus))),
        available_on=instant(data, "available_on"),
        source=id_or_none(data, "source"),
        exchange_rate=rate_or_none(data, "exchange_rate"),
        category=text_or_none(data, "reporting_category"),
        created=instant_or_none(data, "created"),
    )


def transfer(data: Json) -> Transfer:
    code = currency(data)
    return Transfer(
        id=id_of(data),
        amount=amount(data, "amount", code),
        currency=code,
        destination=id_of(data, "destination"),
        destination_payment=id_or_none(data, "destination_payment"),
        created=instant(data, "created"),
        intent_id=_intent_id(data),
        transfer_group=text_or_none(data, "transfer_group"),
        amount_reversed=0 if data.get("amount_reversed") is None else amount(data, "amount_reversed", code),
    )


def refund(data: Json) -> Refund:
    """Its balance transactions are read only where they were expanded."""
    code = currency(data)
    return Refund(
        id=id_of(data),
        status=cast(RefundStatus, one_of(data, "status", get_args(RefundStatus))),
        amount=amount(data, "amount", code),
        currency=code,
        charge_id=id_of(data, "charge"),
        payment_id=id_or_none(data, "payment_intent"),
        created=instant(data, "created"),
        pending_reason=text_or_none(data, "pending_reason"),
        failure_reason=text_or_none(data, "failure_reason"),
        balance_transaction=_expanded(data, "balance_transaction"),
        failed_with=_expanded(data, "failure_balance_transaction"),
        refund=text_or_none(part(data, "metadata"), "marketbill_refund"),
        intent_id=_intent_id(data),
    )


def reversal(data: Json) -> Reversal:
    code = currency(data)
    return Reversal(
        id=id_of(data),
        transfer_id=id_of(data, "transfer"),
        amount=amount(data, "amount", code),
        currency=code,
        created=instant(data, "created"),
        intent_id=_intent_id(data),
    )


def dispute(data: Json) -> Dispute:
    """Asked for with its balance transactions."""
    code = currency(data)
    evidence = part(data, "evidence_details")
    return Dispute(
        id=id_of(data),
        status=cast(DisputeStatus, one_of(data, "status", get_args(DisputeStatus))),
        amount=amount(data, "amount", code),
        currency=code,
        charge_id=id_of(data, "charge"),
        payment_id=id_or_none(data, "payment_intent"),
        reason=text(data, "reason"),
        network_reason_code=text_or_none(data, "network_reason_code"),
        created=instant(data, "created"),
        due_by=instant_or_none(evidence, "due_by"),
        past_due=evidence.get("past_due") is True,
        has_evidence=evidence.get("has_evidence") is True,
        submission_count=whole(evidence, "submission_count"),
        balance_transactions=tuple(balance_transaction(one) for one in parts(data, "balance_transactions")),
    )


def fraud_warning(data: Json) -> FraudWarning:
    return FraudWarning(
        id=id_of(data),
        charge_id=id_of(data, "charge"),
        payment_id=id_or_none(data, "payment_intent"),
        fraud_type=text(data, "fraud_type"),
        actionable=data.get("actionable") is True,
        created=instant(data, "created"),
    )


def top_up(data: Json) -> TopUp:
    code = currency(data)
    return TopUp(
        id=id_of(data),
        status=cast(TopUpStatus, one_of(data, "status", get_args(TopUpStatus))),
        amount=amount(data, "amount", code),
        currency=code,
        created=instant(data, "created"),
        failure_code=text_or_none(data, "failure_code"),
        balance_transaction=_expanded(data, "balance_transaction"),
        intent_id=_intent_id(data),
    )


def payout(data: Json) -> Payout:
    code = currency(data)
    return Payout(
        id=id_of(data),
        status=cast(PayoutStatus, one_of(data, "status", get_args(PayoutStatus))),
        amount=amount(data, "amount", code),
        currency=code,
        arrival_date=instant(data, "arrival_date"),
        failure_code=text_or_none(data, "failure_code"),
        intent_id=_intent_id(data),
        trace=_trace(data),
    )


def _trace(data: Json) -> str | None:
    trace = data.get("trace_id")
    return text_or_none(trace, "value") if isinstance(trace, dict) else None


def balances(data: Json) -> list[Balance]:
    """By currency; both lists must be there, for an account without money has them too."""
    amounts: dict[str, dict[str, int]] = {}
    for state in ("pending", "available"):
        if state not in data:
            raise KeyError(state)
        for held in parts(data, state):
            code = text(held, "currency").upper()
            amounts.setdefault(code, {"pending": 0, "available": 0})[state] += amount(held, "amount", code)
    return [Balance(code, **held) for code, held in sorted(amounts.items())]


def event(data: Json) -> ProviderEvent:
    return ProviderEvent(
        id=id_of(data),
        type=text(data, "type"),
        account=data.get("account"),
        created=instant(data, "created"),
        livemode=bool(data.get("livemode")),
        object=dict(data["data"]["object"]),
        previous=data["data"].get("previous_attributes"),
        api_version=data.get("api_version"),
    )


def _expanded(data: Json, name: str) -> BalanceTransaction | None:
    """A balance transaction within, where it was asked for and is there."""
    found = data.get(name)
    return balance_transaction(found) if isinstance(found, Mapping) else None


def _requirements_v2(data: Json) -> Requirements:
    found: dict[str, list[str]] = {"currently_due": [], "past_due": [], "pending_verification": []}
    for entry in parts(data, "entries"):
        if entry.get("awaiting_action_from") == "stripe":
            found["pending_verification"].append(text(entry, "description"))
        else:
            due = text_or_none(part(entry, "minimum_deadline"), "status")
            if due in found:
                found[due].append(text(entry, "description"))
    soonest = text_or_none(part(part(data, "summary"), "minimum_deadline"), "time")
    return Requirements(
        **{name: tuple(fields) for name, fields in found.items()},
        disabled_reason="requirements.past_due" if found["past_due"] else None,
        due_by=datetime.fromisoformat(soonest) if soonest else None,
    )


def _next_action(data: Json) -> NextAction | None:
    if not data:
        return None
    return NextAction(kind=text(data, "type"), redirect_url=text_or_none(part(data, "redirect_to_url"), "url"))


def _decline(data: Json) -> Decline | None:
    if not data:
        return None
    return Decline(
        code=text_or_none(data, "decline_code") or text_or_none(data, "code") or "generic_decline",
        advice=text_or_none(data, "advice_code"),
        message=text_or_none(data, "message") or "The payment was declined.",
    )


def _intent_id(data: Json) -> str | None:
    return text_or_none(part(data, "metadata"), INTENT_METADATA)
