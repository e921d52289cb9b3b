"""The rolling reserve: a part of each sale is kept back for a time, by the rules under which the sale was made.

It is kept when the share is planned as a transfer, after debts were paid.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, bindparam, func, insert, select, text

from marketbill.db import WriteScope
from marketbill.ids import SellerId, new_id, public_id
from marketbill.ledger import chart
from marketbill.ledger.journal import JournalEntry, Posting, Source
from marketbill.payments import release_rules
from marketbill.payouts.model import reserve
from marketbill.rules.release import ReserveRule

_GROUPS = text("select id, groups from seller where platform_id = :platform and id = any(:sellers)").bindparams(
    bindparam("sellers", type_=ARRAY(Uuid))
)
# Whoever keeps something of a seller that has a cap waits for whoever does so already.
_LOCK = text(
    "select id from seller where platform_id = :platform and id = any(:sellers) order by id for no key update"
).bindparams(bindparam("sellers", type_=ARRAY(Uuid)))
_KEPT = (
    select(reserve.c.seller_id, reserve.c.currency, func.sum(reserve.c.amount).label("amount"))
    .where(
        reserve.c.platform_id == bindparam("platform"),
        reserve.c.seller_id == bindparam("sellers", type_=ARRAY(Uuid)).any_(),
        reserve.c.released_at.is_(None),
    )
    .group_by(reserve.c.seller_id, reserve.c.currency)
)
_INSERT = insert(reserve)


class Share(Protocol):
    """What a seller has in a payment, on its way to him."""

    @property
    def payment_id(self) -> UUID: ...
    @property
    def seller_id(self) -> UUID: ...
    @property
    def currency(self) -> str: ...
    @property
    def release_rule_id(self) -> UUID | None: ...
    @property
    def release_by(self) -> datetime | None: ...


class Keeping(NamedTuple):
    """`rests` are what each share leaves to be transferred, in their order; `entries` book what is kept."""

    rests: list[int]
    entries: list[JournalEntry]


@dataclass(slots=True)
class Reserves:
    """The reserves that hold for some shares; made before debts are paid, for it locks sellers."""

    rules: Mapping[tuple[UUID, UUID], ReserveRule]
    kept: dict[tuple[UUID, str], int] = field(default_factory=dict)

    async def keep(
        self, scope: WriteScope, shares: Sequence[Any], amounts: Sequence[int], rests: Sequence[int]
    ) -> Keeping:
        """Keeps of each share what its rule says of `amounts`, as far as `rests`, what debts leave of it, goes."""
        if not self.rules:
            return Keeping(list(rests), [])
        left, rows, entries = list(rests), list[dict[str, Any]](), list[JournalEntry]()
        for place, (share, amount) in enumerate(zip(shares, amounts, strict=True)):
            rule = self.rules.get((share.payment_id, share.seller_id))
            if rule is None:
                continue
            purse = share.seller_id, share.currency
            wanted = rule.kept(amount, currency=share.currency, kept_already=self.kept.get(purse, 0))
            kept = min(wanted, left[place])
            if kept <= 0:
                continue
            left[place] -= kept
            self.kept[purse] = self.kept.get(purse, 0) + kept
            row = _row(scope, share, rule, kept)
            rows.append(row)
            entries.append(_kept(scope, row))
        if rows:
            await scope.run(_INSERT, rows)
        return Keeping(left, entries)


async def reserves(scope: WriteScope, shares: Sequence[Any]) -> Reserves:
    """Which of these shares (`Share`) a reserve is kept of, and what is kept of their sellers already."""
    versioned = [share for share in shares if share.release_rule_id is not None]
    if not versioned:
        return Reserves({})
    versions = {
        id: await release_rules.terms_of(scope, id) for id in sorted({share.release_rule_id for share in versioned})
    }
    concerned = {share.seller_id for share in versioned if versions[share.release_rule_id].reserves}
    if not concerned:
        return Reserves({})
    named = {"platform": scope.platform, "sellers": list(concerned)}
    groups = {row.id: row.groups for row in await scope.rows(_GROUPS, named)}
    rules = {
        (share.payment_id, share.seller_id): rule
        for share in versioned
        if share.seller_id in concerned
        and (rule := versions[share.release_rule_id].reserve(groups[share.seller_id])) is not None
    }
    capped = {seller for (_, seller), rule in rules.items() if rule.cap}
    if not capped:
        return Reserves(rules)
    await scope.rows(_LOCK, {"platform": scope.platform, "sellers": list(capped)})
    kept = await scope.rows(_KEPT, {"platform": scope.platform, "sellers": list(capped)})
    return Reserves(rules, {(row.seller_id, row.currency): int(row.amount) for row in kept})


def _row(scope: WriteScope, share: Any, rule: ReserveRule, amount: int) -> dict[str, Any]:
    return {
        "platform_id": scope.platform,
        "id": new_id(),
        "payment_id": share.payment_id,
        "seller_id": share.seller_id,
        "currency": share.currency,
        "amount": amount,
        "percent": rule.percent,
        "release_rule_id": share.release_rule_id,
        "release_on": _end(scope.now + timedelta(days=rule.days), share.release_by),
        "created_at": scope.now,
    }


def _end(wanted: datetime, by_law: datetime | None) -> datetime:
    """The time of a sale's hold counts too for how long the law lets money be kept."""
    return wanted if by_law is None else min(wanted, by_law)


def _kept(scope: WriteScope, row: Mapping[str, Any]) -> JournalEntry:
    owner, currency, id = SellerId(row["seller_id"]), row["currency"], public_id("reserve", row["id"])
    return JournalEntry(
        key=f"reserve:{id}",
        kind="reserve",
        source=Source("payment", row["payment_id"]),
        postings=(
            Posting(chart.seller_payable(owner, currency), chart.seller_reserve(owner, currency), row["amount"]),
        ),
        effective_at=scope.now,
        description=f"Reserve {id}",
        reason={
            "release_rule": public_id("release rule", row["release_rule_id"]),
            "percent": f"{row['percent'].normalize():f}",
            "release_on": row["release_on"].isoformat(),
        },
    )
