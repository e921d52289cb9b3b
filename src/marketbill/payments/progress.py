"""Payments on their way through the milestones of one transaction, and how what they reached is recorded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, Row, Uuid, bindparam, select, text, update
from sqlalchemy.dialects.postgresql import TIMESTAMP

from marketbill.db import WriteScope
from marketbill.events import outbox
from marketbill.ledger import journal
from marketbill.ledger.journal import JournalEntry
from marketbill.payments import conversion, tax_lines, tax_recording
from marketbill.payments.model import payment, payment_share
from marketbill.prepared import prepared

_SHARES = prepared(
    select(payment_share)
    .where(
        payment_share.c.platform_id == bindparam("platform"),
        payment_share.c.payment_id == bindparam("ids", type_=ARRAY(Uuid)).any_(),
    )
    .order_by(payment_share.c.payment_id, payment_share.c.seller_id)
)
_RECORDED = (
    "status", "provider_payment", "provider_charge", "provider_balance_transaction", "provider_fee", "next_action",
    "decline", "available_on", "release_on", "release_by", "succeeded_at", "booked_at", "settled_at", "available_at",
    "released_at",
    "settlement_currency", "settlement_gross", "settlement_rate", "processor_fee", "seller_net",
)  # fmt: skip
_RECORD = (
    update(payment)
    .where(payment.c.platform_id == bindparam("platform"), payment.c.id == bindparam("payment"))
    .values({name: bindparam(f"new_{name}") for name in (*_RECORDED, "updated_at")})
)
_RECORD_NET = (
    update(payment_share)
    .where(
        payment_share.c.platform_id == bindparam("platform"),
        payment_share.c.payment_id == bindparam("payment"),
        payment_share.c.seller_id == bindparam("seller"),
    )
    .values(settled_net=bindparam("net"))
)
_RECORD_BORNE = (
    update(payment_share)
    .where(
        payment_share.c.platform_id == bindparam("platform"),
        payment_share.c.payment_id == bindparam("payment"),
        payment_share.c.seller_id == bindparam("seller"),
    )
    .values(processor_fee=bindparam("new_fee"), seller_net=bindparam("new_net"))
)
_INSTANTS = ARRAY(TIMESTAMP(timezone=True))
_RECORD_MARKS = prepared(
    text(
        """
        update payment_share s
        set release_on = m.release_on, held_at = m.held_at, released_at = m.released_at, released = m.released
        from unnest(cast(:payments as uuid[]), cast(:sellers as uuid[]), cast(:release_on as timestamptz[]),
                    cast(:held_at as timestamptz[]), cast(:released_at as timestamptz[]), cast(:released as bigint[]))
          as m (payment_id, seller_id, release_on, held_at, released_at, released)
        where s.platform_id = :platform and s.payment_id = m.payment_id and s.seller_id = m.seller_id
        """
    ).bindparams(
        *(bindparam(name, type_=ARRAY(Uuid)) for name in ("payments", "sellers")),
        *(bindparam(name, type_=_INSTANTS) for name in ("release_on", "held_at", "released_at")),
    )
)


@dataclass(slots=True)
class Mark:
    """Where a share is on its way to its seller; `released` is the amount, in minor units."""

    release_on: datetime | None
    held_at: datetime | None
    released_at: datetime | None
    released: int | None

    @classmethod
    def of(cls, share: Row[Any]) -> "Mark":
        return cls(share.release_on, share.held_at, share.released_at, share.released)


@dataclass(slots=True)
class Progress:
    """A payment on its way through the milestones of one transaction; `nets` once it is converted in this one."""

    row: Row[Any]
    shares: list[Row[Any]]
    values: dict[str, Any]
    entries: list[JournalEntry]
    marks: dict[UUID, Mark]
    nets: dict[UUID, int] = field(default_factory=dict)
    borne: dict[UUID, int] = field(default_factory=dict)

    def as_settled(self) -> tuple[Row[Any], list[Row[Any]]]:
        """The payment and its shares in the currency in which the provider has the money."""
        if self.values["settlement_currency"] is None:
            return self.row, self.shares
        return conversion.as_settled(
            self.row,
            self.shares,
            currency=self.values["settlement_currency"],
            gross=self.values["settlement_gross"],
            nets=self.nets or {share.seller_id: share.settled_net for share in self.shares},
        )

    def post(self, entry: JournalEntry | None) -> None:
        if entry is not None:
            self.entries.append(entry)

    def schedule(self) -> None:
        """The payment says when the next of its shares may be released; of one that is released, it keeps the last."""
        if self.values["released_at"] is None:
            self.values["release_on"] = next_release(self.marks)

    @property
    def is_booked_now(self) -> bool:
        """The charge is booked in this transaction."""
        return self.row.booked_at is None and self.values["booked_at"] is not None


def next_release(marks: Mapping[UUID, Mark]) -> datetime | None:
    """When the next share may be released; None while each is released, held, or awaits its event."""
    return min(
        (
            mark.release_on
            for mark in marks.values()
            if mark.release_on is not None and mark.released_at is None and mark.held_at is None
        ),
        default=None,
    )


async def begin(scope: WriteScope, rows: Sequence[Row[Any]]) -> list[Progress]:
    """The payments, which are locked, with their shares."""
    if not rows:
        return []
    shares: dict[UUID, list[Row[Any]]] = {row.id: [] for row in rows}
    for share in await scope.rows(_SHARES, {"platform": scope.platform, "ids": list(shares)}):
        shares[share.payment_id].append(share)
    return [
        Progress(row, of, dict(row._mapping), [], {share.seller_id: Mark.of(share) for share in of})
        for row, of in ((row, shares[row.id]) for row in rows)
    ]


async def record(scope: WriteScope, steps: Sequence[Progress]) -> None:
    """Writes what the payments reached, and books their entries, last."""
    if not steps:
        return
    await scope.run(
        _RECORD,
        [
            {"platform": scope.platform, "payment": step.row.id}
            | {f"new_{name}": step.values[name] for name in _RECORDED}
            | {"new_updated_at": scope.now}
            for step in steps
        ],
    )
    await _record_shares(scope, steps)
    if any(mark.released_at is not None for step in steps for mark in step.marks.values()):
        await outbox.enqueue(scope, "execute_transfers", str(scope.platform))
    booked = [(step.row, step.values["booked_at"]) for step in steps if step.is_booked_now]
    await tax_recording.begin(scope, booked)
    await journal.post_all(scope, [entry for step in steps for entry in step.entries])
    await tax_lines.keep(scope, booked)


async def _record_shares(scope: WriteScope, steps: Sequence[Progress]) -> None:
    nets = [
        {"platform": scope.platform, "payment": step.row.id, "seller": seller, "net": net}
        for step in steps
        for seller, net in step.nets.items()
    ]
    if nets:
        await scope.run(_RECORD_NET, nets)
    borne = [
        {"platform": scope.platform, "payment": step.row.id, "seller": share.seller_id}
        | {"new_fee": share.processor_fee, "new_net": share.seller_net}
        for step in steps
        for share in step.shares
        if share.seller_id in step.borne
    ]
    if borne:
        await scope.run(_RECORD_BORNE, borne)
    changed = [
        (step.row.id, share.seller_id, step.marks[share.seller_id])
        for step in steps
        for share in step.shares
        if step.marks[share.seller_id] != Mark.of(share)
    ]
    if changed:
        values = {
            name: [getattr(mark, name) for _, _, mark in changed]
            for name in ("release_on", "held_at", "released_at", "released")
        }
        named = {"payments": [id for id, _, _ in changed], "sellers": [seller for _, seller, _ in changed]}
        await scope.run(_RECORD_MARKS, {"platform": scope.platform, **named, **values})
