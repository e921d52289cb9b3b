"""What an event tells in marketbill's words: the few facts that the use cases act upon, read from its snapshot."""

from dataclasses import dataclass
from typing import Any

from marketbill.provider.port import ProviderEvent
from marketbill.provider.stripe.units import from_stripe


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
    """A seller's account may do more or less than before: read it from the provider."""

    account_id: str


@dataclass(frozen=True, slots=True)
class PayoutChanged:
    """A seller's payout is in another state: read it from the provider. `intent_key` names the intent that made it."""

    account_id: str
    payout_id: str
    payout: str | None


Fact = ChargeSucceeded | PaymentChanged | FundsAvailable | AccountChanged | PayoutChanged


def fact_of(event: ProviderEvent) -> Fact | None:
    """The fact in an event; None when it tells nothing that we act upon (another account's own payout, say).

    Payments and charges are the platform's own: what a connected account charges is its own business, whatever transfer
    group it names.
    """
    thing = event.object
    match event.type:
        case name if name.startswith(("payment_intent.", "charge.")) and event.account is not None:
            return None
        case "payment_intent.succeeded":
            return ChargeSucceeded(
                payment_id=thing["id"],
                charge_id=_id(thing["latest_charge"]),
                transfer_group=thing.get("transfer_group"),
                amount=from_stripe(thing["amount_received"], thing["currency"].upper()),
                currency=thing["currency"].upper(),
                balance_transaction=None,
            )
        case "charge.updated" | "charge.succeeded":
            if thing.get("status") != "succeeded" or not thing.get("payment_intent"):
                return None
            transaction = thing.get("balance_transaction")
            return ChargeSucceeded(
                payment_id=_id(thing["payment_intent"]),
                charge_id=thing["id"],
                transfer_group=thing.get("transfer_group"),
                amount=from_stripe(thing["amount"], thing["currency"].upper()),
                currency=thing["currency"].upper(),
                balance_transaction=_id(transaction) if transaction else None,
            )
        case name if name.startswith("payment_intent."):
            return PaymentChanged(thing["id"], thing.get("transfer_group"))
        case "balance.available":
            return FundsAvailable() if event.account is None else None
        case "account.updated" | "capability.updated" | "account.external_account.updated":
            return AccountChanged(event.account) if event.account else None
        case name if name.startswith("payout.") and event.account:
            metadata = thing.get("metadata") or {}
            return PayoutChanged(event.account, thing["id"], metadata.get("marketbill_payout"))
    return None


def _id(reference: Any) -> str:
    return reference if isinstance(reference, str) else reference["id"]
