"""The port: what marketbill asks of a payment provider, in marketbill's own words.

Amounts are minor units (ISO 4217) with a code in capitals; times are aware UTC. Every method that changes something
takes a `key`, the idempotency key that was committed before the call. A method gives its result or raises one of three:

- `Declined`: the card's bank, or the provider for it, said no. Nothing was charged.
- `Refused`: the provider refused the request for certain. Nothing was done by this request (`retry.proves` says when
  nothing was done by earlier ones under the same key either).
- `Unknown`: no definite answer (network, timeout, 5xx, rate limit). It may have been done: look it up before a new key.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from marketbill.errors import InvalidInput, Path, ProviderDeclined, ProviderRefused, ProviderUnavailable
from marketbill.provider.movements import TellsMovements
from marketbill.provider.objects import (
    Account,
    AccountLink,
    Balance,
    BalanceTransaction,
    Charge,
    ListedEvent,
    PaymentMethod,
    PaymentState,
    Payout,
    PlatformAccount,
    Transfer,
    WebhookSecrets,
)
from marketbill.provider.returns import TakesBack
from marketbill.provider.tax import CalculatesTax

Metadata = Mapping[str, str]

#: The longest that a method which changes something takes, with all that its client repeats by itself.
SEND_LONGEST = timedelta(seconds=75)

#: The metadata field of everything we make: the public id of its intent (`int_…`), so that it can be found again.
INTENT_METADATA = "marketbill_intent"


@dataclass(frozen=True, slots=True)
class Failure:
    """What the provider said when it did not do what we asked. `status` is None when there was no HTTP answer.

    `replayed`: it repeated the answer that it keeps with the key, and did nothing now.
    """

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
    replayed: bool | None = None

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
    """The provider refused the request for certain, and did nothing for it. `failure` says why."""

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


class BadObject(InvalidInput):
    """An event whose object has not the form that its type promises; it never will. The text says what is wrong."""


class Provider(CalculatesTax, TakesBack, TellsMovements, Protocol):
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
        self,
        types: Sequence[str],
        created_from: datetime,
        *,
        created_until: datetime | None = None,
        account_id: str | None = None,
        limit: int = 1000,
    ) -> list[ListedEvent]:
        """The newest events since an instant (and until another, both included), at most `limit` of them, oldest first.

        The provider keeps 30 days.
        """
        ...

    async def create_account(
        self, *, key: str, seller_id: str, email: str, country: str, name: str, metadata: Metadata
    ) -> Account:
        """Opens a seller's account that can receive transfers and is paid out only when we say so."""
        ...

    async def find_account(
        self, seller_id: str, *, created_from: datetime, created_until: datetime | None = None
    ) -> Account | None:
        """The account that `create_account` made for this seller since an instant, completed as it would have been.

        `created_until`, here and below: the search ends there, so that it stays possible however much is made since.
        """
        ...

    async def retrieve_account(self, account_id: str) -> Account: ...

    async def create_account_link(self, account_id: str, *, return_url: str, refresh_url: str) -> AccountLink: ...

    async def create_customer(self, *, key: str, name: str, email: str | None, metadata: Metadata) -> str: ...

    async def find_customer(self, buyer_id: str, *, email: str | None, created_from: datetime) -> str | None:
        """The customer that `create_customer` made with this `marketbill_buyer` in its metadata since an instant."""
        ...

    async def attach_payment_method(self, token: str, customer_id: str, *, key: str) -> PaymentMethod: ...

    async def find_payment_method(self, method_id: str, customer_id: str) -> PaymentMethod | None:
        """The payment method, when it is attached to this customer already."""
        ...

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
        self,
        *,
        transfer_group: str,
        created_from: datetime,
        created_until: datetime | None = None,
        customer_id: str | None = None,
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
        self, account_id: str, *, key: str, amount: int, currency: str, metadata: Metadata, instant: bool = False
    ) -> Payout: ...

    async def retrieve_payout(self, account_id: str, payout_id: str) -> Payout: ...

    async def find_payouts(
        self, account_id: str, *, created_from: datetime, created_until: datetime | None = None
    ) -> list[Payout]:
        """An account's payouts made since an instant, newest first."""
        ...

    async def balances(self, account_id: str | None = None) -> list[Balance]:
        """The balance of a connected account, or of the platform itself."""
        ...
