"""The port on Stripe, through stripe-python's client.

Answers are read as plain JSON (`raw_request_async`): building stripe-python's object of a charge costs 0.9 ms of CPU,
more than all the rest of the call, and we keep ten fields of it. The parameters are still typed by stripe-python's own
declarations. An account is created with Accounts v2 and read with v1, whose one answer holds capability, payouts and
requirements.
"""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from urllib.parse import quote, urlsplit

import aiohttp
import stripe
from stripe import AIOHTTPClient, StripeClient, StripeResponse

from marketbill.provider.port import (
    PROVIDER_ERRORS,
    Account,
    AccountLink,
    Balance,
    BalanceTransaction,
    Charge,
    Failure,
    Metadata,
    PaymentMethod,
    PaymentState,
    Payout,
    PlatformAccount,
    ProviderEvent,
    Transfer,
    Unknown,
    WebhookSecrets,
)
from marketbill.provider.stripe import reading, webhooks
from marketbill.provider.stripe.outcome import not_understood, outcome_of
from marketbill.provider.stripe.units import to_stripe, to_stripe_charge, to_stripe_payout

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

API_VERSION = stripe.api_version
#: Seconds for one HTTP exchange, and for its connection; stripe-python repeats it twice.
REQUEST_SECONDS = 30.0
CONNECT_SECONDS = 5.0
NETWORK_RETRIES = 2
#: stripe-python does not repeat after 429 (rate limit); we do, so many times.
RATE_LIMIT_RETRIES = 3
_PAGE = 100
_PAGES_MAX = 20
#: An object may carry a time a little before the one we noted.
_CLOCK_SLACK = timedelta(minutes=2)

# No timings and no machine id go to Stripe with our requests.
stripe.enable_telemetry = False

T = TypeVar("T")
Json = Mapping[str, Any]


class StripeProvider:
    """One platform's Stripe account. See `port.Provider` for the meaning of each method."""

    def __init__(self, secret_key: str, base_url: str | None = None) -> None:
        self._livemode = secret_key[2:8] == "_live_"
        self._http = AIOHTTPClient(timeout=aiohttp.ClientTimeout(total=REQUEST_SECONDS, connect=CONNECT_SECONDS))
        self._client = StripeClient(
            secret_key,
            base_addresses={"api": base_url.rstrip("/")} if base_url else None,
            max_network_retries=NETWORK_RETRIES,
            http_client=self._http,
        )

    async def close(self) -> None:
        await self._http.close_async()

    async def account(self) -> PlatformAccount:
        def read(data: Json) -> PlatformAccount:
            return PlatformAccount(
                data["id"], data["country"], (data.get("default_currency") or "usd").upper(), self._livemode
            )

        return await self._call("get", "/v1/account", read)

    async def create_webhook_endpoints(self, url: str) -> WebhookSecrets:
        # The new ones first, so that no event falls between; what is signed with a new secret before we kept it comes
        # again, because Stripe repeats what was not accepted.
        known = await self._list("/v1/webhook_endpoints", dict)
        old = [found["id"] for found in known if _same_place(found.get("url") or "", url)]
        secrets = WebhookSecrets(
            platform=await self._create_webhook_endpoint(url, webhooks.PLATFORM_TYPES, connect=False),
            connect=await self._create_webhook_endpoint(url, webhooks.CONNECT_TYPES, connect=True),
        )
        for id in old:
            await self._call("delete", f"/v1/webhook_endpoints/{_path(id)}", dict)
        return secrets

    async def move_webhook_endpoints(self, url: str) -> bool:
        known = await self._list("/v1/webhook_endpoints", dict)
        ours = [found for found in known if _same_place(found.get("url") or "", url)]
        # What an endpoint does not tell is whether it is for connected accounts: their events show it.
        wanted = {webhooks.of_connected(found.get("enabled_events") or ()): found for found in ours}
        current = all(found.get("api_version") == API_VERSION for found in ours)
        if len(ours) != 2 or len(wanted) != 2 or not current:
            return False
        for connect, found in wanted.items():
            params: WebhookEndpointUpdateParams = {
                "url": url,
                "enabled_events": list(webhooks.CONNECT_TYPES if connect else webhooks.PLATFORM_TYPES),  # pyright: ignore[reportAssignmentType]
                "disabled": False,
            }
            await self._call("post", f"/v1/webhook_endpoints/{_path(found['id'])}", dict, params)
        return True

    async def list_events(
        self, types: Sequence[str], created_from: datetime, *, account_id: str | None = None, limit: int = 1000
    ) -> list[ProviderEvent]:
        query = {"types": list(types), "created": {"gte": _seconds(created_from)}}
        newest_first = await self._list("/v1/events", reading.event, query, account_id=account_id, limit=limit)
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
        account = await self._call("post", "/v2/core/accounts", reading.account_v2, params, key=key)
        # Stripe would pay out by itself every day; when a seller is paid is our platform's decision.
        schedule: BalanceSettingsUpdateParams = {"payments": {"payouts": {"schedule": {"interval": "manual"}}}}
        await self._call("post", "/v1/balance_settings", dict, schedule, key=f"{key}-schedule", account_id=account.id)
        return account

    async def retrieve_account(self, account_id: str) -> Account:
        return await self._call("get", f"/v1/accounts/{_path(account_id)}", reading.account)

    async def create_account_link(self, account_id: str, *, return_url: str, refresh_url: str) -> AccountLink:
        params: AccountLinkCreateParams = {
            "account": account_id,
            "type": "account_onboarding",
            "return_url": return_url,
            "refresh_url": refresh_url,
        }
        return await self._call("post", "/v1/account_links", reading.account_link, params)

    async def create_customer(self, *, key: str, name: str, email: str | None, metadata: Metadata) -> str:
        params: CustomerCreateParams = {"name": name, "metadata": dict(metadata)}
        if email is not None:
            params["email"] = email
        return await self._call("post", "/v1/customers", _id, params, key=key)

    async def attach_payment_method(self, token: str, customer_id: str, *, key: str) -> PaymentMethod:
        params: PaymentMethodAttachParams = {"customer": customer_id}
        url = f"/v1/payment_methods/{_path(token)}/attach"
        return await self._call("post", url, reading.payment_method, params, key=key)

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
        return await self._call("post", "/v1/payment_intents", reading.payment, params, key=key)

    async def retrieve_payment(self, payment_id: str) -> PaymentState:
        return await self._call("get", f"/v1/payment_intents/{_path(payment_id)}", reading.payment)

    async def confirm_payment(
        self, payment_id: str, payment_method_id: str, *, key: str, return_url: str | None = None
    ) -> PaymentState:
        params: PaymentIntentConfirmParams = {"payment_method": payment_method_id}
        if return_url is not None:
            params["return_url"] = return_url
        url = f"/v1/payment_intents/{_path(payment_id)}/confirm"
        return await self._call("post", url, reading.payment, params, key=key)

    async def cancel_payment(self, payment_id: str, *, key: str) -> PaymentState:
        return await self._call("post", f"/v1/payment_intents/{_path(payment_id)}/cancel", reading.payment, key=key)

    async def find_payments(
        self, *, transfer_group: str, created_from: datetime, customer_id: str | None = None
    ) -> list[PaymentState]:
        """Through the charges of the group, which Stripe can filter; a payment without a charge only by going through
        all payments of that time (of that customer). Raises Unknown when those are too many to be sure."""
        charged = await self._list("/v1/charges", reading.charge, {"transfer_group": transfer_group})
        payments = dict.fromkeys(charge.payment_id for charge in charged if charge.payment_id)
        if payments:
            return [await self.retrieve_payment(payment_id) for payment_id in payments]
        query: dict[str, Any] = {"created": {"gte": _seconds(created_from - _CLOCK_SLACK)}}
        if customer_id is not None:
            query["customer"] = customer_id
        found = await self._list("/v1/payment_intents", reading.payment, query)
        return [payment for payment in found if payment.transfer_group == transfer_group]

    async def retrieve_charge(self, charge_id: str) -> Charge:
        params = {"expand": ["balance_transaction"]}
        return await self._call("get", f"/v1/charges/{_path(charge_id)}", reading.charge, params)

    async def retrieve_balance_transaction(self, balance_transaction_id: str) -> BalanceTransaction:
        url = f"/v1/balance_transactions/{_path(balance_transaction_id)}"
        return await self._call("get", url, reading.balance_transaction)

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
        return await self._list("/v1/balance_transactions", reading.balance_transaction, query, limit=limit)

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
        return await self._call("post", "/v1/transfers", reading.transfer, params, key=key)

    async def find_transfers(self, transfer_group: str) -> list[Transfer]:
        return await self._list("/v1/transfers", reading.transfer, {"transfer_group": transfer_group})

    async def create_payout(
        self, account_id: str, *, key: str, amount: int, currency: str, metadata: Metadata
    ) -> Payout:
        params: PayoutCreateParams = {
            "amount": to_stripe_payout(amount, currency),
            "currency": currency.lower(),
            "metadata": dict(metadata),
        }
        return await self._call("post", "/v1/payouts", reading.payout, params, key=key, account_id=account_id)

    async def retrieve_payout(self, account_id: str, payout_id: str) -> Payout:
        return await self._call("get", f"/v1/payouts/{_path(payout_id)}", reading.payout, account_id=account_id)

    async def find_payouts(self, account_id: str, *, created_from: datetime) -> list[Payout]:
        query = {"created": {"gte": _seconds(created_from - _CLOCK_SLACK)}}
        return await self._list("/v1/payouts", reading.payout, query, account_id=account_id)

    async def balances(self, account_id: str | None = None) -> list[Balance]:
        return await self._call("get", "/v1/balance", reading.balances, account_id=account_id)

    async def _create_webhook_endpoint(self, url: str, types: Sequence[str], *, connect: bool) -> str:
        params: WebhookEndpointCreateParams = {
            "url": url,
            "enabled_events": list(types),  # pyright: ignore[reportAssignmentType]
            "api_version": API_VERSION,
            "description": "marketbill",
        }
        if connect:
            params["connect"] = True
        return await self._call("post", "/v1/webhook_endpoints", lambda data: str(data["secret"]), params)

    async def _list(
        self,
        url: str,
        read: Callable[[Json], T],
        query: Json | None = None,
        *,
        account_id: str | None = None,
        limit: int | None = None,
    ) -> list[T]:
        """All objects of a list, newest first. With `limit` at most so many; without, Unknown when there are too many
        to see them all, for then their absence proves nothing."""
        wanted = limit if limit is not None else _PAGE * _PAGES_MAX
        found: list[T] = []
        after: dict[str, str] = {}
        for _ in range(-(-wanted // _PAGE)):
            page = {**(query or {}), **after, "limit": min(_PAGE, wanted - len(found))}
            data = await self._call("get", url, _list_of_objects, page, account_id=account_id)
            found += [_understood(read, item) for item in data["data"]]
            if not data.get("has_more") or not data["data"]:
                return found
            after = {"starting_after": data["data"][-1]["id"]}
        if limit is None:
            raise Unknown(Failure(None, "search_too_wide", f"More than {wanted} objects at {url}."), untouched=True)
        return found

    async def _call(
        self,
        method: Literal["get", "post", "delete"],
        url: str,
        read: Callable[[Json], T],
        params: Mapping[str, Any] | None = None,
        *,
        key: str | None = None,
        account_id: str | None = None,
    ) -> T:
        """One request: its answer, read, or one of the port's three errors."""
        options: dict[str, Any] = {}
        if key is not None:
            options["idempotency_key"] = key
        if account_id is not None:
            options["stripe_account"] = account_id
        for attempt in range(RATE_LIMIT_RETRIES + 1):
            try:
                answer = await self._client.raw_request_async(method, url, **(params or {}), **options)
            except Exception as error:
                outcome = outcome_of(error)
                if outcome is None:
                    raise
                if not (isinstance(outcome, Unknown) and outcome.untouched) or attempt == RATE_LIMIT_RETRIES:
                    raise outcome from error
                await asyncio.sleep(0.3 * 2**attempt * (1 + random.random()))
            else:
                return _understood(read, _json(answer))
        raise AssertionError("the last attempt returns or raises")


def _json(answer: StripeResponse) -> Json:
    if not isinstance(answer.data, Mapping):
        raise not_understood("The answer is not a JSON object.")
    return answer.data


def _understood(read: Callable[[Json], T], data: Json) -> T:
    try:
        return read(data)
    except PROVIDER_ERRORS:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise not_understood(f"The answer has another form than expected ({error!r}).") from error


def _list_of_objects(data: Json) -> Json:
    if not isinstance(data["data"], list):
        raise TypeError("data is not a list")
    return data


def _id(data: Json) -> str:
    return data["id"]


def _same_place(known: str, url: str) -> bool:
    """The same address, or another port of this computer: a machine for one person, started again."""
    ours, theirs = urlsplit(url), urlsplit(known)
    if ours.hostname == theirs.hostname == "127.0.0.1":
        return ours.path == theirs.path
    return known == url


def _path(id: str) -> str:
    """An id within a URL's path; whatever it holds, it stays one segment."""
    return quote(id, safe="")


def _seconds(at: datetime) -> int:
    return int(at.timestamp())
