"""Risk reserves: money of an account that the provider keeps back for some days because it fears losses."""

from __future__ import annotations

from marketbill.sandbox import balances
from marketbill.sandbox.clock import DAY
from marketbill.sandbox.currencies import check_positive, check_step, in_words
from marketbill.sandbox.desk import Desk
from marketbill.sandbox.wire import Doc, invalid

HOLD_DAYS_MAX = 180


def hold(desk: Desk, account: str, *, amount: int, currency: str, days: int) -> Doc:
    """Keep a part of an account's available balance back; it is released after ``days``.

    :raises ApiError: the account does not have it, or the days are out of range.
    """
    check_positive(amount)
    check_step(amount, currency)
    if not 1 <= days <= HOLD_DAYS_MAX:
        raise invalid(f"A reserve holds for 1 to {HOLD_DAYS_MAX} days, not {days}.", param="days")
    there = balances.available(desk, account, currency)
    if amount > there:
        raise invalid(
            f"{in_words(amount, currency)} cannot be held: {in_words(there, currency)} are available.", param="amount"
        )
    desk.schedule.add(desk.clock.now() + days * DAY, "risk_release", f"{account} {currency} {amount}")
    return _move(desk, account, -amount, currency, "Reserve hold")


def release(desk: Desk, ref: str) -> None:
    """Due work: what was kept back is available again."""
    account, currency, amount = ref.split()
    _move(desk, account, int(amount), currency, "Reserve release")


def _move(desk: Desk, account: str, amount: int, currency: str, words: str) -> Doc:
    return balances.record(
        desk,
        account,
        transaction_type="reserved_funds",
        amount=amount,
        currency=currency,
        source=None,
        description=words,
    )
