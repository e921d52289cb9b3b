"""Reserves: what the platform's balance holds against connected accounts that are below zero.

Where the platform is liable for an account's losses, a negative available balance is held on the platform, amount for
amount, and released as it recovers. After 180 days it is collected: the platform's money makes the account zero.
"""

from __future__ import annotations

from marketbill.sandbox import balances
from marketbill.sandbox.clock import DAY
from marketbill.sandbox.desk import Desk
from marketbill.sandbox.wire import new_id

COLLECTION_DAYS = 180


def backed(desk: Desk, account: str) -> bool:
    """Return whether an account may go below zero because its platform answers for it with reserves.

    Platforms have connect reserves unless they were made without; accounts whose losses the provider carries have
    none.
    """
    platform = desk.store.get("account", desk.platform_of(account))
    losses = (desk.store.get("account", account)["controller"].get("losses") or {}).get("payments")
    return platform["id"] != account and losses == "application" and platform.get("_connect_reserves", True)


def follow(desk: Desk, ref: str) -> None:
    """Due work: hold on the platform exactly what an account is below zero in a currency."""
    account, currency = ref.split()
    owed = max(0, -balances.available(desk, account, currency)) if backed(desk, account) else 0
    held, since = _held(desk, account, currency)
    if owed == held:
        return
    db = desk.store.db
    platform = desk.platform_of(account)
    if not held:
        since = desk.clock.now()
        db.execute("INSERT INTO reserves VALUES (?, ?, ?, ?, ?)", (account, currency, platform, owed, since))
        desk.schedule.add(since + COLLECTION_DAYS * DAY, "collection", f"{account} {currency} {since}")
    elif owed:
        db.execute("UPDATE reserves SET amount = ? WHERE account = ? AND currency = ?", (owed, account, currency))
    else:
        db.execute("DELETE FROM reserves WHERE account = ? AND currency = ?", (account, currency))
        desk.schedule.drop("collection", f"{account} {currency} {since}")
    words = f"Connect reserve {'hold' if owed > held else 'release'} for {account}"
    movement = desk.store.insert(
        "reserve_transaction",
        platform,
        {
            "id": new_id("rtx_1"),
            "object": "reserve_transaction",
            "amount": held - owed,
            "currency": currency,
            "description": words,
        },
    )
    balances.record(
        desk,
        platform,
        transaction_type="reserve_transaction",
        amount=held - owed,
        currency=currency,
        source=movement["id"],
        description=words,
    )


def _held(desk: Desk, account: str, currency: str) -> tuple[int, int]:
    """Return what is held against an account in a currency, and since when."""
    found = desk.store.db.execute(
        "SELECT amount, since FROM reserves WHERE account = ? AND currency = ?", (account, currency)
    ).fetchone()
    return (0, 0) if found is None else found


def collect(desk: Desk, ref: str) -> None:
    """Due work: 180 days below zero are enough; the platform pays, the account is at zero, the reserve goes free."""
    account, currency, since = ref.split()
    held, held_since = _held(desk, account, currency)
    if not held or held_since != int(since):
        return
    platform = desk.platform_of(account)
    collection = desk.store.insert(
        "connect_collection_transfer",
        platform,
        {
            "id": new_id("cct_1"),
            "object": "connect_collection_transfer",
            "amount": held,
            "currency": currency,
            "destination": account,
            "livemode": False,
        },
    )
    for owner, amount in ((platform, -held), (account, held)):
        balances.record(
            desk,
            owner,
            transaction_type="connect_collection_transfer",
            amount=amount,
            currency=currency,
            source=collection["id"],
            description=f"Collection of the negative balance of {account}",
        )
