"""The adapter's part on money that comes back, through the real Stripe client, against the sandbox provider."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from marketbill import clock
from marketbill.provider.objects import ProviderEvent
from marketbill.provider.port import BadObject, Refused
from marketbill.provider.stripe import PLATFORM_TYPES, StripeProvider
from marketbill.provider.stripe.facts import DisputeChanged, FraudWarned, RefundChanged, TransferReversed, fact_of


async def paid_charge(provider: StripeProvider, key: str, amount: int = 10_000) -> str:
    payment = await provider.create_payment(
        key=key,
        amount=amount,
        currency="USD",
        customer_id=None,
        payment_method_id="pm_card_bypassPending",
        off_session=False,
        return_url=None,
        transfer_group=f"group-{key}",
        description="Order 1",
        metadata={},
    )
    assert payment.charge_id is not None
    return payment.charge_id


async def refund(provider: StripeProvider, charge: str, key: str, amount: int):
    return await provider.create_refund(
        key=key,
        charge=charge,
        amount=amount,
        currency="USD",
        reason="requested_by_customer",
        metadata={"marketbill_refund": f"ref_{key}", "marketbill_intent": f"int_{key}"},
    )


async def test_a_refund_tells_what_it_took_and_is_found_by_its_charge(provider: StripeProvider, sandbox: Any) -> None:
    charge = await paid_charge(provider, "r1")
    first = await refund(provider, charge, "r1a", 2_000)
    assert (first.status, first.amount, first.currency, first.charge_id) == ("succeeded", 2_000, "USD", charge)
    assert (first.refund, first.intent_id) == ("ref_r1a", "int_r1a")
    taken = first.balance_transaction
    assert taken is not None
    assert (taken.type, taken.category, taken.amount, taken.fee, taken.source) == (
        "refund",
        "refund",
        -2_000,
        0,
        first.id,
    )
    assert await refund(provider, charge, "r1a", 2_000) == first

    second = await refund(provider, charge, "r1b", 500)
    assert [found.id for found in await provider.find_refunds(charge)] == [second.id, first.id]
    with pytest.raises(Refused) as above:
        await refund(provider, charge, "r1c", 7_501)
    assert "greater than unrefunded amount" in above.value.failure.message

    sandbox.call(f"refunds/{second.id}/fail", {"reason": "declined"})
    failed = await provider.retrieve_refund(second.id)
    assert (failed.status, failed.failure_reason) == ("failed", "declined")
    assert failed.failed_with is not None
    assert (failed.failed_with.type, failed.failed_with.amount) == ("refund_failure", 500)


async def test_a_transfer_is_taken_back_in_parts(provider: StripeProvider, sandbox: Any) -> None:
    account = await provider.create_account(
        key="v1", seller_id="sel_1", email="s@example.com", country="US", name="Seller", metadata={}
    )
    sandbox.call(f"accounts/{account.id}/onboard", {"outcome": "complete"})
    charge = await paid_charge(provider, "v1-pay")
    sent = await provider.create_transfer(
        key="v1-transfer",
        amount=7_000,
        currency="USD",
        destination=account.id,
        source_transaction=charge,
        transfer_group="group-v1-pay",
        metadata={},
        description="",
    )

    async def take_back(key: str, amount: int):
        metadata = {"marketbill_intent": f"int_{key}"}
        return await provider.reverse_transfer(sent.id, key=key, amount=amount, currency="USD", metadata=metadata)

    first = await take_back("v1a", 1_758)
    assert (first.transfer_id, first.amount, first.currency, first.intent_id) == (sent.id, 1_758, "USD", "int_v1a")
    assert await take_back("v1a", 1_758) == first
    second = await take_back("v1b", 5_242)
    assert await provider.find_reversals(sent.id) == [second, first]
    assert (await provider.retrieve_transfer(sent.id)).amount_reversed == 7_000
    with pytest.raises(Refused):
        await take_back("v1c", 1)


async def test_a_dispute_tells_its_movements_and_takes_evidence_once(provider: StripeProvider, sandbox: Any) -> None:
    charge = await paid_charge(provider, "d1")
    id = sandbox.call(f"charges/{charge}/dispute", {"amount": 4_000, "reason": "product_not_received"})["id"]
    opened = await provider.retrieve_dispute(id)
    assert (opened.status, opened.amount, opened.reason, opened.is_inquiry) == (
        "needs_response",
        4_000,
        "product_not_received",
        False,
    )
    [taken] = opened.balance_transactions
    assert (taken.category, taken.amount, taken.fee, taken.net) == ("dispute", -4_000, 1_500, -5_500)
    assert opened.due_by is not None
    assert opened.due_by > clock.now()
    assert await provider.find_disputes(charge) == [opened]

    kept = await provider.submit_evidence(id, key="d1a", evidence={"customer_name": "Ann"}, submit=False)
    assert (kept.status, kept.has_evidence, kept.submission_count) == ("needs_response", True, 0)
    sent = await provider.submit_evidence(
        id, key="d1b", evidence={"uncategorized_text": "winning_evidence"}, submit=True
    )
    assert (sent.status, sent.submission_count) == ("under_review", 1)
    with pytest.raises(Refused):
        await provider.submit_evidence(id, key="d1c", evidence={"customer_name": "Bob"}, submit=True)
    sandbox.call(f"disputes/{id}/decide", {"outcome": "won"})
    won = await provider.retrieve_dispute(id)
    assert won.status == "won"
    assert [one.category for one in won.balance_transactions] == ["dispute", "dispute_reversal"]


async def test_a_dispute_is_given_up(provider: StripeProvider, sandbox: Any) -> None:
    charge = await paid_charge(provider, "d2")
    id = sandbox.call(f"charges/{charge}/dispute", {"reason": "fraudulent"})["id"]
    assert (await provider.accept_dispute(id, key="d2a")).status == "lost"


async def test_an_issuer_warns_of_fraud(provider: StripeProvider, sandbox: Any) -> None:
    charge = await paid_charge(provider, "w1")
    id = sandbox.call(f"charges/{charge}/fraud_warning", {"fraud_type": "made_with_lost_card"})["id"]
    warning = await provider.retrieve_fraud_warning(id)
    assert (warning.charge_id, warning.fraud_type, warning.actionable) == (charge, "made_with_lost_card", True)
    assert await provider.find_fraud_warnings(charge) == [warning]


async def test_the_platform_adds_money_of_its_own(provider: StripeProvider) -> None:
    made = await provider.create_top_up(key="t1", amount=20_000, currency="USD", description="float", metadata={})
    assert (made.status, made.amount, made.currency) == ("succeeded", 20_000, "USD")
    assert made.balance_transaction is not None
    assert made.balance_transaction.net == 20_000
    assert await provider.retrieve_top_up(made.id) == made


def event(type: str, thing: dict[str, Any], account: str | None = None) -> ProviderEvent:
    return ProviderEvent("evt_1", type, account, datetime(2026, 1, 1, tzinfo=UTC), False, thing, None)


def test_events_become_facts() -> None:
    assert len(PLATFORM_TYPES) <= 20, "the provider's list of events takes no more types"
    dispute = {"object": "dispute", "id": "dp_1", "charge": "ch_1", "payment_intent": "pi_1"}
    for name in ("created", "updated", "closed", "funds_withdrawn", "funds_reinstated"):
        assert fact_of(event(f"charge.dispute.{name}", dispute)) == DisputeChanged("dp_1", "ch_1", "pi_1")
    warning = {"object": "radar.early_fraud_warning", "id": "issfr_1", "charge": "ch_1", "payment_intent": None}
    assert fact_of(event("radar.early_fraud_warning.created", warning)) == FraudWarned("issfr_1", "ch_1", None)
    ours = {"object": "refund", "id": "re_1", "charge": "ch_1", "metadata": {"marketbill_refund": "ref_1"}}
    assert fact_of(event("refund.failed", ours)) == RefundChanged("re_1", "ch_1", None, "ref_1")
    transfer = {"object": "transfer", "id": "tr_1", "metadata": {"marketbill_transfer": "tra_1"}}
    assert fact_of(event("transfer.reversed", transfer)) == TransferReversed("tr_1", "tra_1")


def test_what_a_seller_does_on_his_own_account_is_no_fact() -> None:
    refund_of_his = {"object": "refund", "id": "pyr_1", "charge": "py_1"}
    assert fact_of(event("refund.created", refund_of_his, "acct_1")) is None
    assert fact_of(event("charge.dispute.created", {"object": "dispute", "id": "dp_1"}, "acct_1")) is None


def test_an_event_with_another_object_is_refused() -> None:
    with pytest.raises(BadObject, match="not a dispute"):
        fact_of(event("charge.dispute.created", {"object": "charge", "id": "ch_1", "charge": "ch_1"}))
    with pytest.raises(BadObject, match="lacks charge"):
        fact_of(event("charge.dispute.created", json.loads('{"object": "dispute", "id": "dp_1"}')))
