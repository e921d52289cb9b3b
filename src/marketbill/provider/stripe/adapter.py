"""The port on Stripe: which request each of its methods is, typed by stripe-python's own declarations.

An account is created with Accounts v2 and read with v1, whose one answer holds capability, payouts and
requirements.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson

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
from marketbill.provider.port import Metadata, Refused
from marketbill.provider.stripe import reading, webhooks
from marketbill.provider.stripe.fields import Json, id_of, text
from marketbill.provider.stripe.movements import StripeMovements
from marketbill.provider.stripe.returns import StripeReturns
from marketbill.provider.stripe.taxes import StripeTax
from marketbill.provider.stripe.units import to_stripe, to_stripe_charge, to_stripe_payout
from marketbill.provider.stripe.wire import Wire, path_of

if TYPE_CHECKING:
    from stripe.params import (
        AccountLinkCreateParams,
        BalanceSettingsUpdateParams,
        CustomerCreateParams,
        PaymentIntentConfirmParams,
        PaymentIntentCreateParams,
        PaymentMethodAttachParams,
        PayoutCreateParams,
        TransferCreateParams,
        WebhookEndpointCreateParams,
        WebhookEndpointUpdateParams,
    )
    from stripe.params.v2.core import AccountCreateParams

#: An object may carry a time a little before the one we noted.
_CLOCK_SLACK = timedelta(minutes=2)


class StripeProvider(StripeTax, StripeReturns, StripeMovements):
    """One platform's Stripe account. See `port.Provider` for the meaning of each method."""

    def __init__(self, secret_key: str, base_url: str | None = None) -> None:
        self._livemode = secret_key[2:8] == "_live_"
        self._wire = Wire(secret_key, base_url)

    async def close(self) -> None:
        await self._wire.close()

    async def account(self) -> PlatformAccount:
        def read(data: Json) -> PlatformAccount:
            return PlatformAccount(
                id_of(data), text(data, "country"), text(data, "default_currency").upper(), self._livemode
            )

        return await self._wire.call("get", "/v1/account", read)

    async def create_webhook_endpoints(self, url: str) -> WebhookSecrets:
        # The new ones first, so that no event falls between; what is signed with a new secret before we kept it comes
        # again, because Stripe repeats what was not accepted.
        known = await self._wire.list("/v1/webhook_endpoints", dict)
        old = [found["id"] for found in known if _same_place(found.get("url") or "", url)]
        secrets = WebhookSecrets(
            platform=await self._create_webhook_endpoint(url, webhooks.PLATFORM_TYPES, connect=False),
            connect=await self._create_webhook_endpoint(url, webhooks.CONNECT_TYPES, connect=True),
        )
        for id in old:
            await self._wire.call("delete", f"/v1/webhook_endpoints/{path_of(id)}", dict)
        return secrets

    async def move_webhook_endpoints(self, url: str) -> bool:
        known = await self._wire.list("/v1/webhook_endpoints", dict)
        ours = [found for found in known if _same_place(found.get("url") or "", url)]
        # What an endpoint does not tell is whether it is for connected accounts: their events show it.
        wanted = {webhooks.of_connected(found.get("enabled_events") or ()): found for found in ours}
        current = all(found.get("api_version") == webhooks.API_VERSION for found in ours)
        if len(ours) != 2 or len(wanted) != 2 or not current:
            return False
        for connect, found in wanted.items():
            params: WebhookEndpointUpdateParams = {
                "url": url,
                "enabled_events": list(webhooks.CONNECT_TYPES if connect else webhooks.PLATFORM_TYPES),  # pyright: ignore[reportAssignmentType]
                "disabled": False,
            }
            await self._wire.call("post", f"/v1/webhook_endpoints/{path_of(found['id'])}", dict, params)
        return True

    async def list_events(
        self,
        types: Sequence[str],
        created_from: datetime,
        *,
        created_until: datetime | None = None,
        account_id: str | None = None,
        limit: int = 1000,
    ) -> list[ListedEvent]:
        query: dict[str, Any] = {"types": list(types), "created": {"gte": _seconds(created_from)}}
        if created_until is not None:
            query["created"]["lte"] = _seconds(created_until)

        def read(data: Json) -> ListedEvent:
            # Asked for as the connected account, an event need not say whose it is; a webhook of it would.
            whole = {**data, "account": account_id} if account_id else data
            return ListedEvent(reading.event(whole), orjson.dumps(whole))

        newest_first = await self._wire.list("/v1/events", read, query, account_id=account_id, limit=limit)
        return newest_first[::-1]

    async def create_account(
        self, *, key: str, seller_id: str, email: str, country: str, name: str, metadata: Metadata
    ) -> Account:
        params: AccountCreateParams = {
            "contact_email": email,
            "display_name": name,
            "dashboard": "express",
            "identity": {"country": country.lower()},
            "defaults": {"responsibilities": {"fees_collector": "application", "losses_collector": "application"}},
            "configuration": {
                "recipient": {"capabilities": {"stripe_balance": {"stripe_transfers": {"requested": True}}}}
            },
            "metadata": {"marketbill_seller": seller_id, **metadata},
            "include": ["configuration.recipient", "defaults", "requirements"],
        }
        account = await self._wire.call("post", "/v2/core/accounts", reading.account_v2, params, key=key)
        await self._pay_out_on_request(account.id)
        return account

    async def find_account(
        self, seller_id: str, *, created_from: datetime, created_until: datetime | None = None
    ) -> Account | None:
        query = {"created": _between(created_from, created_until)}
        for account_id, seller in await self._wire.list("/v1/accounts", reading.account_of_seller, query):
            if seller == seller_id:
                account = await self.retrieve_account(account_id)
                await self._pay_out_on_request(account.id)
                return account
        return None

    async def retrieve_account(self, account_id: str) -> Account:
        return await self._wire.call("get", f"/v1/accounts/{path_of(account_id)}", reading.account)

    async def create_account_link(self, account_id: str, *, return_url: str, refresh_url: str) -> AccountLink:
        params: AccountLinkCreateParams = {
            "account": account_id,
            "type": "account_onboarding",
            "return_url": return_url,
            "refresh_url": refresh_url,
        }
        return await self._wire.call("post", "/v1/account_links", reading.account_link, params)

    async def create_customer(self, *, key: str, name: str, email: str | None, metadata: Metadata) -> str:
        params: CustomerCreateParams = {"name": name, "metadata": dict(metadata)}
        if email is not None:
            params["email"] = email
        return await self._wire.call("post", "/v1/customers", id_of, params, key=key)

    async def find_customer(self, buyer_id: str, *, email: str | None, created_from: datetime) -> str | None:
        query: dict[str, Any] = {"created": _between(created_from)}
        if email is not None:
            query["email"] = email
        for customer_id, buyer in await self._wire.list("/v1/customers", reading.customer_of_buyer, query):
            if buyer == buyer_id:
                return customer_id
        return None

    async def attach_payment_method(self, token: str, customer_id: str, *, key: str) -> PaymentMethod:
        params: PaymentMethodAttachParams = {"customer": customer_id}
        url = f"/v1/payment_methods/{path_of(token)}/attach"
        return await self._wire.call("post", url, reading.payment_method, params, key=key)

    async def find_payment_method(self, method_id: str, customer_id: str) -> PaymentMethod | None:
        url = f"/v1/customers/{path_of(customer_id)}/payment_methods/{path_of(method_id)}"
        try:
            return await self._wire.call("get", url, reading.payment_method)
        except Refused as refused:
            if refused.failure.status == 404:
                return None
            raise

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
        params: PaymentIntentCreateParams = {
            "amount": to_stripe_charge(amount, currency),
            "currency": currency.lower(),
            "transfer_group": transfer_group,
            "description": description,
            "metadata": dict(metadata),
            "automatic_payment_methods": {"enabled": True},
        }
        if customer_id is not None:
            params["customer"] = customer_id
        if payment_method_id is not None:
            params["payment_method"] = payment_method_id
            params["confirm"] = True
            if off_session:
                params["off_session"] = True
            if return_url is not None and not off_session:
                params["return_url"] = return_url
            else:  # nobody is there to be sent to another page and back
                params["automatic_payment_methods"] = {"enabled": True, "allow_redirects": "never"}
        return await self._wire.call("post", "/v1/payment_intents", reading.payment, params, key=key)

    async def retrieve_payment(self, payment_id: str) -> PaymentState:
        return await self._wire.call("get", f"/v1/payment_intents/{path_of(payment_id)}", reading.payment)

    async def confirm_payment(
        self, payment_id: str, payment_method_id: str, *, key: str, return_url: str | None = None
    ) -> PaymentState:
        params: PaymentIntentConfirmParams = {"payment_method": payment_method_id}
        if return_url is not None:
            params["return_url"] = return_url
        url = f"/v1/payment_intents/{path_of(payment_id)}/confirm"
        return await self._wire.call("post", url, reading.payment, params, key=key)

    async def cancel_payment(self, payment_id: str, *, key: str) -> PaymentState:
        url = f"/v1/payment_intents/{path_of(payment_id)}/cancel"
        return await self._wire.call("post", url, reading.payment, key=key)

    async def find_payments(
        self,
        *,
        transfer_group: str,
        created_from: datetime,
        created_until: datetime | None = None,
        customer_id: str | None = None,
    ) -> list[PaymentState]:
        """Through the charges of the group, which Stripe can filter; a payment without a charge only by going through
        all payments of that time (of that customer). Raises Unknown when those are too many to be sure."""
        charged = await self._wire.list("/v1/charges", reading.charge, {"transfer_group": transfer_group})
        payments = dict.fromkeys(charge.payment_id for charge in charged if charge.payment_id)
        if payments:
            return [await self.retrieve_payment(payment_id) for payment_id in payments]
        query: dict[str, Any] = {"created": _between(created_from, created_until)}
        if customer_id is not None:
            query["customer"] = customer_id
        found = await self._wire.list("/v1/payment_intents", reading.payment, query)
        return [payment for payment in found if payment.transfer_group == transfer_group]

    async def retrieve_charge(self, charge_id: str) -> Charge:
        params = {"expand": ["balance_transaction"]}
        return await self._wire.call("get", f"/v1/charges/{path_of(charge_id)}", reading.charge, params)

    async def retrieve_balance_transaction(self, balance_transaction_id: str) -> BalanceTransaction:
        url = f"/v1/balance_transactions/{path_of(balance_transaction_id)}"
        return await self._wire.call("get", url, reading.balance_transaction)

    async def list_balance_transactions(
        self,
        *,
        created_from: datetime,
        created_until: datetime | None = None,
        type: str | None = None,
        limit: int = 1000,
    ) -> list[BalanceTransaction]:
        query: dict[str, Any] = {"created": {"gte": _seconds(created_from)}}
        if created_until is not None:
            query["created"]["lte"] = _seconds(created_until)
        if type is not None:
            query["type"] = type
        return await self._wire.list("/v1/balance_transactions", reading.balance_transaction, query, limit=limit)

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
    ) -> Transfer:
        params: TransferCreateParams = {
            "amount": to_stripe(amount, currency),
            "currency": currency.lower(),
            "destination": destination,
            "transfer_group": transfer_group,
            "metadata": dict(metadata),
            "description": description,
        }
        if source_transaction is not None:
            params["source_transaction"] = source_transaction
        return await self._wire.call("post", "/v1/transfers", reading.transfer, params, key=key)

    async def find_transfers(self, transfer_group: str) -> list[Transfer]:
        return await self._wire.list("/v1/transfers", reading.transfer, {"transfer_group": transfer_group})

    async def create_payout(
        self, account_id: str, *, key: str, amount: int, currency: str, metadata: Metadata, instant: bool = False
    ) -> Payout:
        params: PayoutCreateParams = {
            "amount": to_stripe_payout(amount, currency),
            "currency": currency.lower(),
            "metadata": dict(metadata),
        }
        if instant:
            params["method"] = "instant"
        return await self._wire.call("post", "/v1/payouts", reading.payout, params, key=key, account_id=account_id)

    async def retrieve_payout(self, account_id: str, payout_id: str) -> Payout:
        return await self._wire.call("get", f"/v1/payouts/{path_of(payout_id)}", reading.payout, account_id=account_id)

    async def find_payouts(
        self, account_id: str, *, created_from: datetime, created_until: datetime | None = None
    ) -> list[Payout]:
        query = {"created": _between(created_from, created_until)}
        return await self._wire.list("/v1/payouts", reading.payout, query, account_id=account_id)

    async def balances(self, account_id: str | None = None) -> list[Balance]:
        return await self._wire.call("get", "/v1/balance", reading.balances, account_id=account_id)

    async def _pay_out_on_request(self, account_id: str) -> None:
        # Stripe would pay out by itself every day; when a seller is paid is our platform's decision. Without a key of
        # ours: it may be said again, and must not get a stored answer then.
        schedule: BalanceSettingsUpdateParams = {"payments": {"payouts": {"schedule": {"interval": "manual"}}}}
        await self._wire.call("post", "/v1/balance_settings", dict, schedule, account_id=account_id)

    async def _create_webhook_endpoint(self, url: str, types: Sequence[str], *, connect: bool) -> str:
        params: WebhookEndpointCreateParams = {
            "url": url,
            "enabled_events": list(types),  # pyright: ignore[reportAssignmentType]
            "api_version": webhooks.API_VERSION,
            "description": "marketbill",
        }
        if connect:
            params["connect"] = True
        return await self._wire.call("post", "/v1/webhook_endpoints", lambda data: text(data, "secret"), params)


def _same_place(known: str, url: str) -> bool:
    """The same address, or another port of this computer: a machine for one person, started again."""
    ours, theirs = urlsplit(url), urlsplit(known)
    if ours.hostname == theirs.hostname == "127.0.0.1":
        return ours.path == theirs.path
    return known == url


def _between(start: datetime, end: datetime | None = None) -> dict[str, int]:
    """A filter of what was created from `start` to `end` by our clock."""
    until = {} if end is None else {"lte": _seconds(end + _CLOCK_SLACK)}
    return {"gte": _seconds(start - _CLOCK_SLACK), **until}


def _seconds(at: datetime) -> int:
    return int(at.timestamp())
