"""A marketplace lived through by the provider's own Python client."""

from __future__ import annotations

from typing import Any

import stripe


async def test_a_sale_from_onboarding_to_payout(bench: Any) -> None:
    bench.open_platform("NL", "eur")
    client = stripe.StripeClient(
        bench.key,
        base_addresses={"api": bench.base},
        http_client=stripe.AIOHTTPClient(),
        max_network_retries=2,
    )
    seller = await client.v2.core.accounts.create_async(
        {
            "contact_email": "seller@example.com",
            "display_name": "Anna's pots",
            "dashboard": "express",
            "identity": {"country": "nl"},
            "defaults": {"responsibilities": {"fees_collector": "application", "losses_collector": "application"}},
            "configuration": {
                "recipient": {"capabilities": {"stripe_balance": {"stripe_transfers": {"requested": True}}}}
            },
            "include": ["configuration.recipient", "requirements"],
        }
    )
    assert _transfers(seller) == "restricted"
    # Until its platform says otherwise, an account is paid out by itself.
    await client.v1.balance_settings.update_async(
        {"payments": {"payouts": {"schedule": {"interval": "manual"}}}}, {"stripe_account": seller.id}
    )
    link = await client.v2.core.account_links.create_async(
        {
            "account": seller.id,
            "use_case": {
                "type": "account_onboarding",
                "account_onboarding": {
                    "refresh_url": "https://market.example/again",
                    "return_url": "https://market.example/done",
                },
            },
        }
    )
    finished = bench.send(
        "POST",
        link.url.removeprefix(bench.base),
        "outcome=complete",
        {"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert (finished.status, finished.headers["location"]) == (303, "https://market.example/done")
    again = await client.v2.core.accounts.retrieve_async(seller.id, {"include": ["configuration.recipient"]})
    assert _transfers(again) == "active"
    first_version = await client.v1.accounts.retrieve_async(seller.id)
    assert first_version.payouts_enabled
    assert first_version["capabilities"]["transfers"] == "active"

    buyer = await client.v1.customers.create_async({"email": "buyer@example.com"})
    paid = await client.v1.payment_intents.create_async(
        {
            "amount": 12_100,
            "currency": "eur",
            "customer": buyer.id,
            "payment_method": "pm_card_visa",
            "confirm": True,
            "allowed_payment_method_types": ["card"],
            "transfer_group": "order_1",
            "metadata": {"order": "1"},
            "expand": ["latest_charge"],
        },
        {"idempotency_key": "order_1"},
    )
    assert paid.status == "succeeded"
    assert paid.latest_charge is not None
    assert paid.latest_charge.balance_transaction is None  # pyright: ignore[reportAttributeAccessIssue]
    charge = await client.v1.charges.retrieve_async(
        paid.latest_charge.id,  # pyright: ignore[reportAttributeAccessIssue]
        {"expand": ["balance_transaction"]},
    )
    assert (charge.balance_transaction.fee, charge.balance_transaction.net) == (207, 11_893)  # pyright: ignore

    transfer = await client.v1.transfers.create_async(
        {
            "amount": 4_379,
            "currency": "eur",
            "destination": seller.id,
            "source_transaction": charge.id,
            "transfer_group": "order_1",
        }
    )
    assert transfer.transfer_group == "order_1"
    assert bench.balance("eur", seller.id) == (0, 4_379)
    bench.advance(days=3)
    assert bench.balance("eur", seller.id) == (4_379, 0)
    payout = await client.v1.payouts.create_async({"amount": 4_379, "currency": "eur"}, {"stripe_account": seller.id})
    bench.advance(days=3)
    payout = await client.v1.payouts.retrieve_async(payout.id, None, {"stripe_account": seller.id})
    assert payout.status == "paid"
    assert bench.balance("eur", seller.id) == (0, 0)
    assert bench.balance("eur") == (11_893 - 4_379, 0)
    assert bench.control("state")["books_balance"]


def _transfers(account: Any) -> str:
    return account.configuration.recipient.capabilities.stripe_balance.stripe_transfers.status
