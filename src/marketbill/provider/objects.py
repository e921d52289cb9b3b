"""What the provider tells of its objects, in marketbill's words: frozen, in minor units, with aware times in UTC."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal

PaymentStatus = Literal[
    "requires_payment_method",
    "requires_confirmation",
    "requires_action",
    "requires_capture",
    "processing",
    "succeeded",
    "canceled",
]
ChargeStatus = Literal["succeeded", "pending", "failed"]
FundsStatus = Literal["pending", "available"]
PayoutStatus = Literal["pending", "in_transit", "paid", "failed", "canceled"]


class CapabilityState(StrEnum):
    """Whether an account may receive transfers. RESTRICTED: the provider wants something first."""

    UNREQUESTED = "UNREQUESTED"
    PENDING = "PENDING"
    RESTRICTED = "RESTRICTED"
    ACTIVE = "ACTIVE"


@dataclass(frozen=True, slots=True)
class Requirements:
    """What the provider still wants from a seller, in its own field names."""

    currently_due: tuple[str, ...] = ()
    past_due: tuple[str, ...] = ()
    pending_verification: tuple[str, ...] = ()
    disabled_reason: str | None = None
    due_by: datetime | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            "currently_due": list(self.currently_due),
            "past_due": list(self.past_due),
            "pending_verification": list(self.pending_verification),
            "disabled_reason": self.disabled_reason,
            "due_by": self.due_by.isoformat() if self.due_by else None,
        }


@dataclass(frozen=True, slots=True)
class Account:
    """A seller's account at the provider. `may_transfer` gates money to it, `may_pay_out` gates money out of it."""

    id: str
    may_transfer: CapabilityState
    may_pay_out: bool
    requirements: Requirements


@dataclass(frozen=True, slots=True)
class AccountLink:
    """The address where a seller is onboarded: single use, for five minutes."""

    url: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class PaymentMethod:
    id: str
    kind: str
    brand: str | None
    last4: str | None
    exp_month: int | None
    exp_year: int | None


@dataclass(frozen=True, slots=True)
class NextAction:
    """What the buyer must do: go to `redirect_url`, or let the provider's script in the browser ask (None)."""

    kind: str
    redirect_url: str | None

    def as_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "redirect_url": self.redirect_url}


@dataclass(frozen=True, slots=True)
class Decline:
    """Why the last attempt of a payment failed."""

    code: str
    advice: str | None
    message: str

    def as_json(self) -> dict[str, Any]:
        return {"code": self.code, "advice": self.advice, "message": self.message}


@dataclass(frozen=True, slots=True)
class PaymentState:
    """A payment as the provider sees it now. `intent_id` is our metadata, when we made it."""

    id: str
    status: PaymentStatus
    amount: int
    currency: str
    charge_id: str | None
    client_secret: str | None
    next_action: NextAction | None
    decline: Decline | None
    intent_id: str | None
    transfer_group: str | None


@dataclass(frozen=True, slots=True)
class BalanceTransaction:
    """One movement of the provider's balance: `net = amount - fee`, usable from `available_on`.

    `exchange_rate` is what one unit of the currency that was charged became in `currency`; None when that is the same.
    """

    id: str
    type: str
    amount: int
    fee: int
    net: int
    currency: str
    status: FundsStatus
    available_on: datetime
    source: str | None
    exchange_rate: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Charge:
    """The money of a payment. `balance_transaction` is None until the provider has settled its fee (within an hour)."""

    id: str
    amount: int
    currency: str
    status: ChargeStatus
    payment_id: str | None
    balance_transaction: BalanceTransaction | None


@dataclass(frozen=True, slots=True)
class Transfer:
    id: str
    amount: int
    currency: str
    destination: str
    destination_payment: str | None
    created: datetime
    intent_id: str | None
    transfer_group: str | None


@dataclass(frozen=True, slots=True)
class Payout:
    id: str
    status: PayoutStatus
    amount: int
    currency: str
    arrival_date: datetime
    failure_code: str | None
    intent_id: str | None


@dataclass(frozen=True, slots=True)
class Balance:
    """What an account holds in one currency; either may be negative."""

    currency: str
    pending: int
    available: int


@dataclass(frozen=True, slots=True)
class PlatformAccount:
    """Whose key it is."""

    id: str
    country: str
    default_currency: str
    livemode: bool


@dataclass(frozen=True, slots=True)
class WebhookSecrets:
    """The signing secrets of our two endpoints: the platform's own events, and those of the connected accounts."""

    platform: str
    connect: str


@dataclass(frozen=True, slots=True)
class ProviderEvent:
    """An event as the provider sent it. `account` is the connected account it belongs to; `object` is its snapshot, in
    the form of `api_version`."""

    id: str
    type: str
    account: str | None
    created: datetime
    livemode: bool
    object: dict[str, Any]
    previous: dict[str, Any] | None
    api_version: str | None = None

    @property
    def object_id(self) -> str:
        return str(self.object.get("id") or "")


@dataclass(frozen=True, slots=True)
class ListedEvent:
    """An event of the provider's list, with a body as a webhook of it would have had."""

    event: ProviderEvent
    raw: bytes
