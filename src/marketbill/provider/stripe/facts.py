"""What an event tells in marketbill's words: the few facts that the use cases act upon, read from its snapshot."""

import re
from dataclasses import dataclass

from marketbill.provider.objects import ProviderEvent
from marketbill.provider.port import BadObject
from marketbill.provider.stripe.fields import Json, amount, currency, id_of, part, text_or_none
from marketbill.provider.stripe.webhooks import knows_version

#: An id goes into the provider's addresses, so nothing else may stand in one.
_ID = re.compile(r"[a-z]+_[A-Za-z0-9_]{1,240}")
#: What the object of an event is, by the event's type without its last word.
_OBJECT = {
    "payment_intent": "payment_intent",
    "charge": "charge",
    "charge.dispute": "dispute",
    "balance": "balance",
    "capability": "capability",
    "payout": "payout",
    "radar.early_fraud_warning": "radar.early_fraud_warning",
    "refund": "refund",
    "topup": "topup",
    "transfer": "transfer",
}
#: Events of the platform's own objects; what a connected account does with its own is its own business.
_OWN = ("payment_intent.", "charge.", "refund.", "transfer.", "topup.", "radar.")
#: Characters of a text from outside that a reason repeats.
_SHOWN_MAX = 40


@dataclass(frozen=True, slots=True)
class ChargeSucceeded:
    """A payment's charge succeeded; `balance_transaction` is set once the provider knows its fee."""

    payment_id: str
    charge_id: str
    transfer_group: str | None
    amount: int
    currency: str
    balance_transaction: str | None


@dataclass(frozen=True, slots=True)
class PaymentChanged:
    """A payment is in another state than before, not paid: read it from the provider."""

    payment_id: str
    transfer_group: str | None


@dataclass(frozen=True, slots=True)
class FundsAvailable:
    """Some of the platform's pending funds became available."""


@dataclass(frozen=True, slots=True)
class AccountChanged:
    """A seller's account may do more or less than before: read it from the provider. `bank_changed`: it has a bank
    account that it had not, or one that was put right."""

    account_id: str
    bank_changed: bool = False


@dataclass(frozen=True, slots=True)
class PayoutChanged:
    """A seller's payout is in another state: read it from the provider. `payout` is our own public id of it; `begun`
    when it was only made, which whoever asked for it was told already, unless his answer was lost."""

    account_id: str
    payout_id: str
    payout: str | None
    begun: bool = False


@dataclass(frozen=True, slots=True)
class RefundChanged:
    """A refund of a charge of the platform's is in another state: read it from the provider. `refund` is our own public
    id of it, where we made it."""

    refund_id: str
    charge_id: str
    payment_id: str | None
    refund: str | None


@dataclass(frozen=True, slots=True)
class TransferReversed:
    """Something of a transfer was taken back; `transfer` is our own public id of it."""

    transfer_id: str
    transfer: str | None


@dataclass(frozen=True, slots=True)
class DisputeChanged:
    """A dispute was opened, changed, decided, or moved money: read it from the provider."""

    dispute_id: str
    charge_id: str
    payment_id: str | None


@dataclass(frozen=True, slots=True)
class FraudWarned:
    """An issuer warned about a charge, or its warning changed: read it from the provider."""

    warning_id: str
    charge_id: str
    payment_id: str | None


@dataclass(frozen=True, slots=True)
class OwnMoneyMoved:
    """The platform topped its balance up, or its bank took that back."""


Fact = (
    ChargeSucceeded
    | PaymentChanged
    | FundsAvailable
    | AccountChanged
    | PayoutChanged
    | RefundChanged
    | TransferReversed
    | DisputeChanged
    | FraudWarned
    | OwnMoneyMoved
)


def fact_of(event: ProviderEvent) -> Fact | None:
    """The fact in an event; None when it tells nothing that we act upon (another account's own payout, say).

    Payments and charges are the platform's own: what a connected account charges is its own business, whatever transfer
    group it names. Of an event in another version than ours only ids are believed; the provider tells the rest. Raises
    BadObject when its object is another than its type says, or lacks what it must have.
    """
    try:
        _check_object(event)
        return _fact(event)
    except KeyError as missing:
        raise BadObject(f"an event {event.type} whose object lacks {missing.args[0]}") from missing
    except (TypeError, ValueError) as wrong:
        raise BadObject(f"an event {event.type} whose object is broken: {wrong}") from wrong


def _check_object(event: ProviderEvent) -> None:
    due = _OBJECT.get(event.type.rpartition(".")[0])
    actual = event.object.get("object", due)
    if due and actual != due:
        found = (
            f"a {actual[:_SHOWN_MAX]}"
            if isinstance(actual, str) and actual.replace(".", "_").isidentifier()
            else "of no known kind"
        )
        raise BadObject(f"an event {event.type} whose object is {found}, not a {due}")


def _fact(event: ProviderEvent) -> Fact | None:
    thing = event.object
    believed = knows_version(event.api_version)
    match event.type:
        case name if name.startswith(_OWN) and event.account is not None:
            return None
        case name if name.startswith("charge.dispute."):
            return DisputeChanged(_id(thing), _id(thing, "charge"), _id_or_none(thing, "payment_intent"))
        case name if name.startswith("radar.early_fraud_warning."):
            return FraudWarned(_id(thing), _id(thing, "charge"), _id_or_none(thing, "payment_intent"))
        case name if name.startswith("refund."):
            if thing.get("charge") is None:
                return None
            refund = text_or_none(part(thing, "metadata"), "marketbill_refund")
            return RefundChanged(_id(thing), _id(thing, "charge"), _id_or_none(thing, "payment_intent"), refund)
        case name if name.startswith("topup."):
            return OwnMoneyMoved()
        case "transfer.reversed":
            return TransferReversed(_id(thing), text_or_none(part(thing, "metadata"), "marketbill_transfer"))
        case name if name.startswith("charge.") and not believed:
            payment = thing.get("payment_intent")
            return PaymentChanged(_id(thing, "payment_intent"), _group(thing)) if payment else None
        case "payment_intent.succeeded" if believed:
            code = currency(thing)
            return ChargeSucceeded(
                payment_id=_id(thing),
                charge_id=_id(thing, "latest_charge"),
                transfer_group=_group(thing),
                amount=amount(thing, "amount_received", code),
                currency=code,
                balance_transaction=None,
            )
        case "charge.updated" | "charge.succeeded":
            if thing.get("status") != "succeeded" or not thing.get("payment_intent"):
                return None
            code = currency(thing)
            return ChargeSucceeded(
                payment_id=_id(thing, "payment_intent"),
                charge_id=_id(thing),
                transfer_group=_group(thing),
                amount=amount(thing, "amount", code),
                currency=code,
                balance_transaction=_id(thing, "balance_transaction") if thing.get("balance_transaction") else None,
            )
        case name if name.startswith("payment_intent."):
            return PaymentChanged(_id(thing), _group(thing))
        case "balance.available":
            return FundsAvailable() if event.account is None else None
        case (
            "account.updated"
            | "capability.updated"
            | "account.external_account.created"
            | "account.external_account.updated"
            | "account.application.deauthorized"
        ):
            changed = event.type.startswith("account.external_account.") and thing.get("status") != "errored"
            return AccountChanged(_checked("account", event.account), changed) if event.account else None
        case name if name.startswith("payout.") and event.account:
            payout = text_or_none(part(thing, "metadata"), "marketbill_payout")
            begun = event.type == "payout.created"
            return PayoutChanged(_checked("account", event.account), _id(thing), payout, begun)
    return None


def _group(thing: Json) -> str | None:
    return text_or_none(thing, "transfer_group")


def _id(thing: Json, name: str = "id") -> str:
    return _checked(name, id_of(thing, name))


def _id_or_none(thing: Json, name: str) -> str | None:
    return None if thing.get(name) is None else _id(thing, name)


def _checked(name: str, id: str) -> str:
    if not _ID.fullmatch(id):
        raise ValueError(f"{name} is {id[:_SHOWN_MAX]!r}, which is no id")
    return id
