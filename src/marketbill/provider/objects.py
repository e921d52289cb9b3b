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
RefundStatus = Literal["pending", "requires_action", "succeeded", "failed", "canceled"]
DisputeStatus = Literal[
    "warning_needs_response",
    "warning_under_review",
    "warning_closed",
    "needs_response",
    "under_review",
    "appeal_needs_response",
    "appeal_under_review",
    "won",
    "lost",
    "prevented",
]
TopUpStatus = Literal["pending", "succeeded", "failed", "canceled", "reversed"]


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
    `category` is the provider's reporting category, which tells a dispute's withdrawal from its reversal.
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
    category: str | None = None
    created: datetime | None = None


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
    amount_reversed: int = 0


@dataclass(frozen=True, slots=True)
class Refund:
    """Money of a charge that goes back to its card. `balance_transaction` is None while the balance is too small for
    it; `failed_with` is the one that brought it back after the bank refused it.

    `refund` is our own public id (`ref_…`) from its metadata.
    """

    id: str
    status: RefundStatus
    amount: int
    currency: str
    charge_id: str
    payment_id: str | None
    created: datetime
    pending_reason: str | None
    failure_reason: str | None
    balance_transaction: BalanceTransaction | None
    failed_with: BalanceTransaction | None
    refund: str | None
    intent_id: str | None


@dataclass(frozen=True, slots=True)
class Reversal:
    """Money of a transfer that came back from a seller's account to the platform's balance."""

    id: str
    transfer_id: str
    amount: int
    currency: str
    created: datetime
    intent_id: str | None


@dataclass(frozen=True, slots=True)
class Dispute:
    """A charge that its card holder contests at the bank. A status that begins with `warning_` is an inquiry, which
    moves no money.

    `balance_transactions` are all movements of it so far, as the provider lists them: what it withdrew and charged, and
    what it gave back. `due_by` is until when evidence is taken.
    """

    id: str
    status: DisputeStatus
    amount: int
    currency: str
    charge_id: str
    payment_id: str | None
    reason: str
    network_reason_code: str | None
    created: datetime
    due_by: datetime | None
    past_due: bool
    has_evidence: bool
    submission_count: int
    balance_transactions: tuple[BalanceTransaction, ...]

    @property
    def is_inquiry(self) -> bool:
        return self.status.startswith("warning_")


@dataclass(frozen=True, slots=True)
class FraudWarning:
    """An issuer reports a charge as fraud. `actionable` while it is neither disputed nor wholly refunded."""

    id: str
    charge_id: str
    payment_id: str | None
    fraud_type: str
    actionable: bool
    created: datetime


@dataclass(frozen=True, slots=True)
class TopUp:
    """Money from a bank onto the platform's own balance."""

    id: str
    status: TopUpStatus
    amount: int
    currency: str
    created: datetime
    failure_code: str | None
    balance_transaction: BalanceTransaction | None
    intent_id: str | None


@dataclass(frozen=True, slots=True)
class Payout:
    """`trace` finds it at the receiving bank, once the provider knows it."""

    id: str
    status: PayoutStatus
    amount: int
    currency: str
    arrival_date: datetime
    failure_code: str | None
    intent_id: str | None
    trace: str | None = None


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
