"""The port: what marketbill asks of a payment provider, in marketbill's own words.

Amounts are minor units (ISO 4217) with a code in capitals; times are aware UTC. Every method that changes something
takes a `key`, the idempotency key that was committed before the call. A method gives its result or raises one of three:

- `Declined`: the card's bank, or the provider for it, said no. Nothing was charged.
- `Refused`: the provider refused the request for certain. Nothing was done.
- `Unknown`: no definite answer (network, timeout, 5xx, rate limit). It may have been done: look it up before a new key.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, Protocol

from marketbill.errors import InvalidInput, Path, ProviderDeclined, ProviderRefused, ProviderUnavailable

Metadata = Mapping[str, str]

PaymentStatus = Literal[
    "requires_payment_method",
    "requires_confirmation",
    "requires_action",
    "requires_capture",
    "processing",
    "succeeded",
    "canceled",
]
PayoutStatus = Literal["pending", "in_transit", "paid", "failed", "canceled"]

#: The metadata field of everything we make: the public id of its intent (`int_…`), so that it can be found again.
INTENT_METADATA = "marketbill_intent"


@dataclass(frozen=True, slots=True)
class Failure:
    """What the provider said when it did not do what we asked. `status` is None when there was no HTTP answer."""

    status: int | None
    code: str | None
    message: str
    type: str | None = None
    param: str | None = None
    decline_code: str | None = None
    advice_code: str | None = None
    payment_id: str | None = None
    charge_id: str | None = None
    request_id: str | None = None

    def as_json(self) -> dict[str, Any]:
        """For storing beside the intent; without the fields that say nothing."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        return {name: value for name, value in fields.items() if value is not None}


class Declined(ProviderDeclined):
    """The payment was declined. `payment_id` is the provider's payment, which another card may still pay."""

    def __init__(self, failure: Failure, *, path: Path = ()) -> None:
        super().__init__(
            failure.message,
            decline_code=failure.decline_code or failure.code or "generic_decline",
            advice=failure.advice_code,
            path=path,
        )
        self.failure = failure
        self.payment_id = failure.payment_id


class Refused(ProviderRefused):
    """The provider refused the request for certain, and nothing was done. `failure` says why."""

    def __init__(self, failure: Failure, *, path: Path = ()) -> None:
        super().__init__(failure.message, provider_code=failure.code, path=path)
        self.failure = failure


class Unknown(ProviderUnavailable):
    """No definite answer. `untouched` is True when the provider certainly did nothing (rate limit, lock)."""

    def __init__(self, failure: Failure, *, untouched: bool = False, path: Path = ()) -> None:
        super().__init__(
            "The payment provider gave no definite answer; the request was recorded and will be resolved.", path=path
        )
        self.failure = failure
        self.untouched = untouched


ProviderError = Declined | Refused | Unknown
"""For annotations; catch `PROVIDER_ERRORS`."""
PROVIDER_ERRORS = (Declined, Refused, Unknown)


class BadSignature(InvalidInput):
    """A webhook that the provider did not sign, or not now. It is answered with 400 and nothing is kept."""


class BadEvent(InvalidInput):
    """A webhook that was signed, but whose body is no event of a kind we know how to read."""


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
    """One movement of the provider's balance: `net = amount - fee`, usable from `available_on`."""

    id: str
    type: str
    amount: int
    fee: int
    net: int
    currency: str
    status: Literal["pending", "available"]
    available_on: datetime
    source: str | None


@dataclass(frozen=True, slots=True)
class Charge:
    """The money of a payment. `balance_transaction` is None until the provider has settled its fee (within an hour)."""

    id: str
    amount: int
    currency: str
    status: Literal["succeeded", "pending", "failed"]
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
    """An event as the provider sent it. `account` is the connected account it belongs to; `object` is its snapshot."""

    id: str
    type: str
    account: str | None
    created: datetime
    livemode: bool
    object: dict[str, Any]
    previous: dict[str, Any] | None

    @property
    def object_id(self) -> str:
        return str(self.object.get("id") or "")


class Provider(Protocol):
    """A payment provider, bound to one platform's credentials."""

    async def close(self) -> None:
        """Gives back its connections."""
        ...

    async def account(self) -> PlatformAccount: ...

    async def create_webhook_endpoints(self, url: str) -> WebhookSecrets:
        """Makes our two endpoints at `url`; those that were there before at the same address are replaced."""
        ...

    async def move_webhook_endpoints(self, url: str) -> bool:
        """Gives our two endpoints at another port of this computer the address `url`; False when they are not there.

        Their signing secrets stay, and events that were not accepted yet are delivered to the new address.
        """
        ...

    async def list_events(
        self, types: Sequence[str], created_from: datetime, *, account_id: str | None = None, limit: int = 1000
    ) -> list[ProviderEvent]:
        """Events since an instant, oldest first, for catching up; the provider keeps 30 days."""
        ...

    async def create_account(
        self, *, key: str, seller_id: str, email: str, country: str, name: str, metadata: Metadata
    ) -> Account:
        """Opens a seller's account that can receive transfers and is paid out only when we say so."""
        ...

    async def retrieve_account(self, account_id: str) -> Account: ...

    async def create_account_link(self, account_id: str, *, return_url: str, refresh_url: str) -> AccountLink: ...

    async def create_customer(self, *, key: str, name: str, email: str | None, metadata: Metadata) -> str: ...

    async def attach_payment_method(self, token: str, customer_id: str, *, key: str) -> PaymentMethod: ...

    async def create_payment(
        self,
        *,
        key: str,
        amount: int,
        currency: str,
        customer_id: str | None,
        payment_method_id: str | None,
        off_session: bool,
        return_url: str | None,
        transfer_group: str,
        description: str,
        metadata: Metadata,
    ) -> PaymentState:
        """Makes a payment, and confirms it at once when a payment method is given."""
        ...

    async def retrieve_payment(self, payment_id: str) -> PaymentState: ...

    async def confirm_payment(
        self, payment_id: str, payment_method_id: str, *, key: str, return_url: str | None = None
    ) -> PaymentState: ...

    async def cancel_payment(self, payment_id: str, *, key: str) -> PaymentState: ...

    async def find_payments(
        self, *, transfer_group: str, created_from: datetime, customer_id: str | None = None
    ) -> list[PaymentState]:
        """The payments of a transfer group made since an instant (bounded search), newest first."""
        ...

    async def retrieve_charge(self, charge_id: str) -> Charge:
        """A charge with its balance transaction, in one call."""
        ...

    async def retrieve_balance_transaction(self, balance_transaction_id: str) -> BalanceTransaction: ...

    async def list_balance_transactions(
        self,
        *,
        created_from: datetime,
        created_until: datetime | None = None,
        type: str | None = None,
        limit: int = 1000,
    ) -> list[BalanceTransaction]:
        """The platform's balance transactions since an instant, newest first, at most `limit` of them."""
        ...

    async def create_transfer(
        self,
        *,
        key: str,
        amount: int,
        currency: str,
        destination: str,
        source_transaction: str | None,
        transfer_group: str,
        metadata: Metadata,
        description: str,
    ) -> Transfer: ...

    async def find_transfers(self, transfer_group: str) -> list[Transfer]:
        """All transfers of a group, newest first."""
        ...

    async def create_payout(
        self, account_id: str, *, key: str, amount: int, currency: str, metadata: Metadata
    ) -> Payout: ...

    async def retrieve_payout(self, account_id: str, payout_id: str) -> Payout: ...

    async def find_payouts(self, account_id: str, *, created_from: datetime) -> list[Payout]:
        """An account's payouts made since an instant, newest first."""
        ...

    async def balances(self, account_id: str | None = None) -> list[Balance]:
        """The balance of a connected account, or of the platform itself."""
        ...
