"""Advances: an instant payout may take card money that is still pending; the provider lends it until its day."""

from __future__ import annotations

from marketbill.sandbox import balances
from marketbill.sandbox.desk import Desk


def advance(desk: Desk, account: str, amount: int, currency: str, *, source: str) -> None:
    """Lend an amount (minor units) to the available balance, and take it back from the money that comes next.

    What is lent is at most what is pending: see :func:`marketbill.sandbox.balances.instant`.
    """
    balances.record(
        desk,
        account,
        transaction_type="advance",
        amount=amount,
        currency=currency,
        source=source,
        description="Advance for an instant payout",
    )
    for day, waiting in balances.pending_days(desk, account, currency):
        part = min(amount, waiting)
        balances.record(
            desk,
            account,
            transaction_type="advance_funding",
            amount=-part,
            currency=currency,
            source=source,
            description="Repayment of an advance",
            available_on=day,
        )
        amount -= part
        if amount == 0:
            return
    raise LookupError(f"{account} was lent {amount} {currency} more than is pending")
