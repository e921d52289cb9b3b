"""Balances: every account has pending and available money per currency, and every movement is a transaction.

What an account holds is the sum of the ``net`` of its balance transactions; the running figures are kept beside them
in the same SQLite transaction. Pending money becomes available at 00:00 UTC of its day.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from marketbill.sandbox import banks
from marketbill.sandbox.call import Call
from marketbill.sandbox.desk import Desk
from marketbill.sandbox.events import emit
from marketbill.sandbox.rendering import page
from marketbill.sandbox.wire import Doc, missing, new_id

#: Reporting category by transaction type, where it is not the type's own name.
REPORTING_CATEGORY = {
    "charge": "charge",
    "payment": "charge",
    "payment_refund": "refund",
    "payment_failure_refund": "charge_failure",
    "adjustment": "other_adjustment",
    "transfer_refund": "transfer_reversal",
    "transfer_cancel": "transfer_reversal",
    "transfer_failure": "transfer_reversal",
    "payout_cancel": "payout_reversal",
    "payout_failure": "payout_reversal",
    "application_fee": "platform_earning",
    "application_fee_refund": "platform_earning_refund",
    "stripe_fee": "fee",
    "reserve_transaction": "connect_reserved_funds",
    "reserved_funds": "risk_reserved_funds",
}


def record(
    desk: Desk,
    account: str,
    *,
    transaction_type: str,
    amount: int,
    currency: str,
    source: str | None,
    fee: int = 0,
    fee_description: str = "Stripe processing fees",
    application_fee: int = 0,
    application: str | None = None,
    description: str | None = None,
    available_on: int | None = None,
    exchange_rate: Decimal | float | None = None,
    reporting_category: str | None = None,
) -> Doc:
    """Write one balance transaction and move the account's balance by its net.

    ``amount`` is signed, ``fee`` is what the provider keeps of it and ``application_fee`` what goes to the platform's
    ``application``; all in minor units. A fee below zero is given back. Without ``available_on`` the money is
    available at once. ``exchange_rate`` is the one by which the source's amount became this one;
    ``reporting_category`` is the type's own unless it is given.
    """
    now = desk.clock.now()
    due = available_on if available_on is not None else now
    parts = (
        (application_fee, application, _application_words(desk, account) if application_fee else "", "application_fee"),
        (fee, None, fee_description, "stripe_fee"),
    )
    net = amount - fee - application_fee
    doc = desk.store.insert(
        "balance_transaction",
        account,
        {
            "id": new_id("txn_1"),
            "object": "balance_transaction",
            "amount": amount,
            "available_on": due,
            "balance_type": "payments",
            "created": now,
            "currency": currency,
            "description": description,
            "exchange_rate": None if exchange_rate is None else float(exchange_rate),
            "fee": fee + application_fee,
            "fee_details": [
                {"amount": part, "application": who, "currency": currency, "description": words, "type": kind}
                for part, who, words, kind in parts
                if part
            ],
            "net": net,
            "reporting_category": reporting_category or REPORTING_CATEGORY.get(transaction_type, transaction_type),
            "source": source,
            "type": transaction_type,
        },
    )
    if due > now:
        _add(desk, account, currency, available=0, pending=net)
        _await_funds(desk, account, currency, due, net)
    else:
        _add(desk, account, currency, available=net, pending=0)
    return doc


def _application_words(desk: Desk, account: str) -> str:
    platform = desk.store.get("account", desk.platform_of(account))
    return f"{platform['settings']['dashboard']['display_name'] or 'Platform'} application fee"


def _add(desk: Desk, account: str, currency: str, *, available: int, pending: int) -> None:
    after = desk.store.db.execute(
        "INSERT INTO balances (account, currency, available, pending) VALUES (?1, ?2, ?3, ?4) "
        "ON CONFLICT (account, currency) DO UPDATE SET available = available + ?3, pending = pending + ?4 "
        "RETURNING available",
        (account, currency, available, pending),
    ).fetchone()[0]
    if available:
        _tell_those_who_wait(desk, account, currency, before=after - available, after=after)


def _tell_those_who_wait(desk: Desk, account: str, currency: str, *, before: int, after: int) -> None:
    """Have done what depends on an available balance: reserves for one below zero, refunds that waited for money."""
    ref = f"{account} {currency}"
    now = desk.clock.now()
    below = min(before, after) < 0 and desk.platform_of(account) != account
    if below and not desk.schedule.has("reserve", ref):
        desk.schedule.add(now, "reserve", ref)
    if after > max(before, 0) and waits(desk, account, currency) and not desk.schedule.has("waiting_refunds", ref):
        desk.schedule.add(now, "waiting_refunds", ref)


def waits(desk: Desk, account: str, currency: str) -> str | None:
    """Return the oldest refund of an account that waits for money in a currency, of those written already."""
    found = desk.store.db.execute(
        "SELECT id FROM objects WHERE kind = 'refund' AND account = ? AND c = ? ORDER BY seq LIMIT 1",
        (account, currency),
    ).fetchone()
    return None if found is None else found[0]


def _await_funds(desk: Desk, account: str, currency: str, available_on: int, amount: int) -> None:
    db = desk.store.db
    changed = db.execute(
        "UPDATE funds SET amount = amount + ? WHERE account = ? AND currency = ? AND available_on = ?",
        (amount, account, currency, available_on),
    ).rowcount
    if not changed:
        db.execute("INSERT INTO funds VALUES (?, ?, ?, ?)", (account, currency, available_on, amount))
        desk.schedule.add(available_on, "funds", f"{account} {currency} {available_on}")


def make_available(desk: Desk, ref: str) -> None:
    """Due work: move one day's pending money of an account and currency to available."""
    account, currency, available_on = ref.split()
    db = desk.store.db
    key = (account, currency, int(available_on))
    found = db.execute(
        "SELECT amount FROM funds WHERE account = ? AND currency = ? AND available_on = ?", key
    ).fetchone()
    if found is None:
        return
    db.execute("DELETE FROM funds WHERE account = ? AND currency = ? AND available_on = ?", key)
    _add(desk, account, currency, available=found[0], pending=-found[0])
    emit(desk, account, "balance.available", balance(desk, account))


def tell_available(desk: Desk, account: str) -> None:
    """Emit ``balance.available`` for funds that skipped pending: at once, and then at most once a second.

    It says how the balance stands, not what changed it, so one at the end of a burst tells the same as one a charge.
    """
    now = desk.clock.now()
    if desk.told.get(account, 0) < now:
        desk.told[account] = now
        emit(desk, account, "balance.available", balance(desk, account))
    elif not desk.schedule.has("told", account):
        desk.schedule.add(now + 1, "told", account)


def available(desk: Desk, account: str, currency: str) -> int:
    """Return the available balance in minor units; it may be negative."""
    found = desk.store.db.execute(
        "SELECT available FROM balances WHERE account = ? AND currency = ?", (account, currency)
    ).fetchone()
    return 0 if found is None else found[0]


def instant(desk: Desk, account: str, currency: str) -> int:
    """Return what an instant payout may take: card money counts before its day, unless the account owes."""
    found = desk.store.db.execute(
        "SELECT available, pending FROM balances WHERE account = ? AND currency = ?", (account, currency)
    ).fetchone()
    return 0 if found is None else _instant(*found)


def _instant(ready: int, waiting: int) -> int:
    return 0 if ready < 0 else max(0, ready + waiting)


def pending_days(desk: Desk, account: str, currency: str) -> list[tuple[int, int]]:
    """Return the days on which more money comes than goes, the next first, each with its amount in minor units."""
    return desk.store.db.execute(
        "SELECT available_on, amount FROM funds WHERE account = ? AND currency = ? AND amount > 0 "
        "ORDER BY available_on",
        (account, currency),
    ).fetchall()


def positive_currencies(desk: Desk, account: str) -> list[str]:
    """Return the currencies of which the account has something available."""
    rows = desk.store.db.execute(
        "SELECT currency FROM balances WHERE account = ? AND available > 0 ORDER BY currency", (account,)
    ).fetchall()
    return [row[0] for row in rows]


def balance(desk: Desk, account: str) -> Doc:
    """Return the balance object of an account, one entry per currency it has ever held."""
    rows = desk.store.db.execute(
        "SELECT currency, available, pending FROM balances WHERE account = ? ORDER BY currency", (account,)
    ).fetchall()
    doc = desk.store.find("account", account)
    if not rows and doc is not None:
        rows = [(doc["default_currency"], 0, 0)]
    result: Doc = {
        "object": "balance",
        "available": [_money(currency, amount) for currency, amount, _ in rows],
        "livemode": False,
        "pending": [_money(currency, amount) for currency, _, amount in rows],
    }
    eligible = [] if doc is None else _instant_banks(doc)
    if eligible:
        result["instant_available"] = [
            _instant_money(currency, _instant(ready, waiting), banked)
            for currency, ready, waiting in rows
            if (banked := [bank["id"] for bank in eligible if bank["currency"] == currency])
        ]
    if desk.platform_of(account) == account:
        held = dict(
            desk.store.db.execute(
                "SELECT currency, sum(amount) FROM reserves WHERE platform = ? GROUP BY currency", (account,)
            ).fetchall()
        )
        result["connect_reserved"] = [
            {"amount": held.get(currency, 0), "currency": currency} for currency, _, _ in rows
        ]
    return result


def _money(currency: str, amount: int) -> Doc:
    return {"amount": amount, "currency": currency, "source_types": {"card": amount}}


def _instant_banks(account: Doc) -> list[Doc]:
    found = account["external_accounts"]["data"]
    return [bank for bank in found if bank["status"] != "errored" and banks.takes_instant(account, bank)]


def _instant_money(currency: str, amount: int, banked: list[str]) -> Doc:
    net = [{"amount": amount, "destination": bank, "source_types": {"card": amount}} for bank in banked]
    return {**_money(currency, amount), "net_available": net}


def retrieve(call: Call) -> Doc:
    return balance(call.desk, call.account)


def retrieve_transaction(call: Call) -> Doc:
    return call.named("balance_transaction", name="balance transaction")


def list_transactions(call: Call) -> Doc:
    """List balance transactions by source, type, currency or payout.

    An automatic payout lists what it paid out. A manual one has no transactions but its own, as with Stripe: which
    funds it paid out is not tracked.
    """
    params = call.params
    where: list[tuple[str, Any]] = []
    if params.get("currency"):
        where.append(("e = ?", params["currency"].lower()))
    if params.get("payout"):
        payout = call.store.find("payout", params["payout"], call.account)
        if payout is None:
            raise missing("payout", params["payout"], param="payout", status=400)
        where.append(("b = ?" if payout["automatic"] else "a = ?", payout["id"]))
    return page(
        call,
        "balance_transaction",
        url="/v1/balance_transactions",
        by=("source", "type"),
        where=where,
        name="balance transaction",
    )
