"""Payouts that the provider makes by itself, on the account's schedule, and which money each of them paid out.

Every balance transaction belongs to at most one automatic payout. One payout takes all transactions of its currency
that are available and not paid out yet; charges only when the account's ``delay_days`` are over. What a payout of the
currency cannot express (part of a forint) is carried to the next.
"""

from __future__ import annotations

from marketbill.sandbox import balances, banks, payouts
from marketbill.sandbox.clock import midnight
from marketbill.sandbox.currencies import maximum_amount, payout_step
from marketbill.sandbox.desk import Desk
from marketbill.sandbox.events import emit
from marketbill.sandbox.payout_schedule import follow, payable_from
from marketbill.sandbox.wire import Doc

#: Seconds after which the transactions of a payout can be listed.
RECONCILIATION_SECONDS = 3_600
#: Transactions that one payout may take; more wait for the next.
TRANSACTIONS_MAX = 20_000


def run(desk: Desk, account: str) -> None:
    """Due work: pay out what an account has, in every currency it has a bank account for; again on its next day."""
    doc = desk.store.get("account", account)
    if doc["_deleted"] is not None:
        return
    follow(desk, account)
    if not doc["payouts_enabled"]:
        return
    for currency in balances.positive_currencies(desk, account):
        bank = banks.receiving(desk, account, currency)
        if bank is not None and bank["status"] != "errored":
            _pay_out(desk, doc, bank, currency)


def _pay_out(desk: Desk, account: Doc, bank: Doc, currency: str) -> None:
    identifier = account["id"]
    open_ones = _unpaid(desk, identifier, currency)
    ripe = [one for one in open_ones if _ripe(desk, account, one)]
    carried = int(desk.store.meta(f"carried {identifier} {currency}") or "0")
    owed = carried + sum(one["net"] for one in ripe)
    most = min(balances.available(desk, identifier, currency), maximum_amount(currency))
    amount = min(owed, most) // payout_step(currency) * payout_step(currency)
    if amount <= 0:
        return
    settings = account["settings"]["payouts"]
    payout = payouts.write(
        desk,
        identifier,
        bank,
        amount=amount,
        currency=currency,
        automatic=True,
        description="STRIPE PAYOUT",
        statement_descriptor=settings["statement_descriptor"],
    )
    for one in (*ripe, desk.store.get("balance_transaction", payout["balance_transaction"])):
        desk.store.edit(one["id"])["_payout"] = payout["id"]
    desk.store.set_meta(f"carried {identifier} {currency}", str(owed - amount))
    _remember(desk, identifier, currency)
    desk.schedule.add(desk.clock.now() + RECONCILIATION_SECONDS, "payout_reconciled", payout["id"])


def _unpaid(desk: Desk, account: str, currency: str) -> list[Doc]:
    """Return the transactions that no automatic payout has paid out, the oldest first."""
    seen = int(desk.store.meta(f"paid {account} {currency}") or "0")
    where = [("e = ?", currency), ("b IS NULL AND seq > ?", seen)]
    return desk.store.select("balance_transaction", account, where, order="ASC", limit=TRANSACTIONS_MAX)


def _remember(desk: Desk, account: str, currency: str) -> None:
    """Note up to where everything is paid out, so that the next payout does not look there again."""
    rest = _unpaid(desk, account, currency)
    kind = "balance_transaction"
    if rest:
        position = desk.store.position(kind, rest[0]["id"], account)
        seen = (position or 1) - 1
    else:
        newest = desk.store.select(kind, account, [("e = ?", currency)], limit=1)
        seen = desk.store.position(kind, newest[0]["id"], account) or 0
    desk.store.set_meta(f"paid {account} {currency}", str(seen))


def _ripe(desk: Desk, account: Doc, transaction: Doc) -> bool:
    now = desk.clock.now()
    if transaction["available_on"] > now:
        return False
    if transaction["type"] != "charge" or transaction["net"] <= 0:
        return True
    delay = account["settings"]["payouts"]["schedule"]["delay_days"]
    return payable_from(transaction["created"], delay_days=delay, country=account["country"]) <= midnight(now)


def reconcile(desk: Desk, ref: str) -> None:
    """Due work: the transactions that a payout paid out can be listed."""
    doc = desk.store.edit(ref)
    doc["reconciliation_status"] = "completed"
    emit(desk, desk.store.owner_of(ref), "payout.reconciliation_completed", doc)
