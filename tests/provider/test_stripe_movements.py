"""What the provider tells of money that moved, through the real client: each movement with the object behind it."""

from datetime import timedelta
from typing import Any

from tests.provider.test_stripe_adapter import onboarded, pay

from marketbill import clock
from marketbill.provider.movements import Moving
from marketbill.provider.stripe import StripeProvider

_MINUTE = timedelta(minutes=1)


async def test_every_movement_names_what_moved_and_what_we_called_it(provider: StripeProvider, sandbox: Any) -> None:
    account = await onboarded(provider, sandbox)
    paid = await pay(provider, "one")
    sent = await provider.create_transfer(
        key="t",
        amount=4_000,
        currency="USD",
        destination=account,
        source_transaction=None,
        transfer_group="group-one",
        metadata={"marketbill_transfer": "trf_1", "other": "not ours"},
        description="trf_1",
    )
    await provider.reverse_transfer(sent.id, key="r", amount=1_500, currency="USD", metadata={})
    refund = await provider.create_refund(
        key="f",
        charge=paid.charge_id or "",
        amount=2_000,
        currency="USD",
        reason=None,
        metadata={"marketbill_refund": "ref_1"},
    )
    now = clock.now()
    told = await provider.list_movements(created_from=now - _MINUTE, created_until=now + _MINUTE, limit=100)
    assert [(one.moving, one.transaction.type, one.transaction.net, one.object_id) for one in told[::-1]] == [
        (Moving.CHARGE, "charge", 10_000 - told[-1].transaction.fee, paid.charge_id),
        (Moving.TRANSFER, "transfer", -4_000, sent.id),
        (Moving.TRANSFER, "transfer_refund", 1_500, sent.id),
        (Moving.REFUND, "refund", -2_000, refund.id),
    ]
    assert [one.alone for one in told[::-1]] == [True, False, False, True]
    charge, transfer, _, back = told[::-1]
    assert (charge.payment_id, charge.transfer_group) == (paid.id, "group-one")
    assert (dict(transfer.metadata), transfer.destination) == ({"marketbill_transfer": "trf_1"}, account)
    assert (back.payment_id, dict(back.metadata)) == (paid.id, {"marketbill_refund": "ref_1"})
    assert [one.transaction.net for one in await provider.movements_of(sent.id)] == [1_500, -4_000]
    assert await provider.movements_of("tr_unknown") == []


async def test_payouts_and_movements_of_a_connected_account(provider: StripeProvider, sandbox: Any) -> None:
    account = await onboarded(provider, sandbox)
    await pay(provider, "one")
    sent = await provider.create_transfer(
        key="t",
        amount=4_000,
        currency="USD",
        destination=account,
        source_transaction=None,
        transfer_group="group-one",
        metadata={},
        description="",
    )
    made = await provider.create_payout(
        account, key="p", amount=4_000, currency="USD", metadata={"marketbill_payout": "pot_1"}
    )
    now = clock.now()
    span: dict[str, Any] = {"created_from": now - _MINUTE, "created_until": now + _MINUTE, "limit": 10}
    [payout] = await provider.list_account_payouts(account, **span)
    assert (payout.id, payout.amount, dict(payout.metadata)) == (made.id, 4_000, {"marketbill_payout": "pot_1"})
    assert await provider.retrieve_account_payout(account, made.id) == payout
    assert await provider.retrieve_account_payout(account, "po_unknown") is None
    moved = await provider.list_account_movements(account, **span)
    assert [(one.transaction.net, one.transfer_id) for one in moved] == [(-4_000, None), (4_000, sent.id)]
